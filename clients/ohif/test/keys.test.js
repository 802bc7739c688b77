import assert from 'node:assert/strict';
import test from 'node:test';

import { actionOf, listen } from '../keys.js';

const press = (key, held = {}) =>
  actionOf({ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...held });

test('keys have their actions', () => {
  assert.equal(press('a'), 'inside');
  assert.equal(press('A'), 'inside');
  assert.equal(press('Tab'), 'candidate');
  assert.equal(press('z', { ctrlKey: true }), 'undo');
  assert.equal(press('z', { metaKey: true, shiftKey: true }), 'redo');
  assert.equal(press('y', { ctrlKey: true }), 'redo');
});

test('other keys are the viewer’s', () => {
  for (const key of ['z', 'r', '1', 'Delete', 'ArrowUp', 'constructor']) assert.equal(press(key), null);
  assert.equal(press('a', { ctrlKey: true }), null);
  assert.equal(press('a', { altKey: true }), null);
  assert.equal(press('Tab', { shiftKey: true }), null);
});

test('a key that has nothing to do is the viewer’s', () => {
  const page = new EventTarget();
  Object.assign(globalThis, { window: page, document: { activeElement: null } });
  let offered = true;
  const silence = listen({ candidate: () => offered });
  const tab = () => {
    const pressed = Object.assign(new Event('keydown', { cancelable: true }), { key: 'Tab' });
    page.dispatchEvent(pressed);
    return pressed.defaultPrevented;
  };
  assert.ok(tab());
  offered = false;
  assert.ok(!tab());
  silence();
});
