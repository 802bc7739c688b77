/**
 * Signing in with an API key, where the service wants one and nothing else gives it: neither `oidc` in
 * OHIF's configuration, nor `?token=` in its address. The key stays in this tab and ends with it.
 */

import { element } from './elements.js';

const KEPT = 'sammoe.key';

/**
 * @param {any} userAuthenticationService OHIF's: what it gives goes with every request of the viewer
 * @param {any} appConfig what OHIF made of its configuration, which may be a function in the page
 */
export async function signIn(userAuthenticationService, appConfig) {
  if (appConfig?.oidc || new URLSearchParams(location.search).has('token')) return;
  let key = sessionStorage.getItem(KEPT);
  let refused = '';
  for (let answer = await knock(key); answer === 401; answer = await knock(key)) {
    sessionStorage.removeItem(KEPT);
    key = await askFor(refused);
    refused = 'The service does not know this key.';
  }
  if (!key) return;
  sessionStorage.setItem(KEPT, key);
  const header = { Authorization: `Bearer ${key}` };
  userAuthenticationService.setServiceImplementation({ getAuthorizationHeader: () => header });
}

async function knock(key) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  try {
    return (await fetch('/v1/capabilities', { headers })).status;
  } catch {
    return null; // The viewer says better than this page what can not be reached.
  }
}

function askFor(refused) {
  return new Promise(resolve => {
    const key = element('input', {
      type: 'password',
      required: true,
      autocomplete: 'current-password',
      'aria-label': 'API key',
      pattern: '[!-~]+',
    });
    const form = element(
      'form',
      {},
      element('h1', {}, 'SAM-Med3D-MoE'),
      element('p', {}, 'This service asks for an API key.'),
      key,
      element('button', {}, 'Sign in'),
      element('p', { role: 'alert' }, refused)
    );
    const screen = element('div', { class: 'sammoe sammoe-sign-in' }, form);
    form.addEventListener('submit', event => {
      event.preventDefault();
      screen.remove();
      resolve(key.value);
    });
    document.body.append(screen);
    key.focus();
  });
}
