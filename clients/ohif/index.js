/**
 * SAM-Med3D-MoE in OHIF: an extension for the build that comes from npm, loaded as it is. In
 * app-config.js: `extensions: ['/sammoe/index.js']`. docs/clients.md tells the rest.
 */

import { Controller } from './controller.js';
import { style } from './elements.js';
import { signIn } from './sign-in.js';

const ID = 'sammoe';

/** Where modes find the panel. */
export const PANEL = `${ID}.panelModule.segment`;

/** @type {Controller} */
let controller;

export default {
  id: ID,

  async preRegistration({ servicesManager, appConfig, configuration }) {
    style();
    controller = new Controller(servicesManager.services, configuration);
    await signIn(servicesManager.services.userAuthenticationService, appConfig);
  },

  onModeEnter() {
    controller.enter();
  },

  onModeExit() {
    controller.exit();
  },

  getPanelModule() {
    return [
      {
        name: 'segment',
        iconName: 'icon-tool-click-segment',
        iconLabel: 'Segment',
        label: 'Segment',
        component: Panel,
      },
    ];
  },
};

/** What React 18 takes for a `div`, which is filled without React. */
function Panel() {
  const props = { className: 'sammoe-root' };
  return { $$typeof: Symbol.for('react.element'), type: 'div', key: null, ref: mount, props };
}

// One function, since React takes another for another place.
function mount(node) {
  controller.mount(node);
}
