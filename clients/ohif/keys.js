/** Keyboard shortcuts, while a study is open and nobody types. */

const TYPING = 'input, textarea, select, [contenteditable]';
const CONTROLS = `${TYPING}, button, a, [tabindex]:not(.cornerstone-viewport-element)`;

/** Key -> name of the action; with Ctrl (or Cmd) held. */
const PLAIN = new Map([
  ['a', 'inside'],
  ['s', 'outside'],
  ['b', 'box'],
  ['n', 'add'],
  ['u', 'undo'],
  ['y', 'redo'],
  ['Escape', 'cancel'],
  ['Tab', 'candidate'],
]);
const CONTROL = new Map([
  ['z', 'undo'],
  ['y', 'redo'],
]);

export const SHORTCUTS = [
  ['A', 'click inside'],
  ['S', 'click outside'],
  ['Ctrl', 'the other one'],
  ['B', 'box'],
  ['Tab', 'next candidate'],
  ['U', 'undo'],
  ['Y', 'redo'],
  ['N', 'new structure'],
  ['Esc', 'stop'],
];

/**
 * The action that a key is for; null for none.
 *
 * @param {{key: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean, shiftKey: boolean}} event
 */
export function actionOf({ key, ctrlKey, metaKey, altKey, shiftKey }) {
  const name = key.length === 1 ? key.toLowerCase() : key;
  if (altKey) return null;
  if (ctrlKey || metaKey) {
    return name === 'z' && shiftKey ? 'redo' : (CONTROL.get(name) ?? null);
  }
  return shiftKey ? null : (PLAIN.get(name) ?? null);
}

/**
 * Call actions for keys until the returned function is called. A key whose action says that there is
 * nothing to do (false) is the viewer's.
 *
 * @param {Record<string, () => unknown>} actions
 */
export function listen(actions) {
  const pressed = event => {
    const action = actionOf(event);
    const at = document.activeElement;
    if (!action || at?.closest(TYPING)) return;
    // Tab goes from control to control, as everywhere, unless none of them has the focus.
    if (action === 'candidate' && at?.closest(CONTROLS)) return;
    if (actions[action]() === false) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  window.addEventListener('keydown', pressed, true);
  return () => window.removeEventListener('keydown', pressed, true);
}
