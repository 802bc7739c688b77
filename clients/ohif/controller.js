/**
 * Between OHIF and a session: which series is looked at, what is clicked, what shows. One for the page;
 * sessions stay while a study is open, whatever viewport or panel comes and goes.
 */

import { boxOf, isInside, toPlace, toVoxel } from './geometry.js';
import { listen } from './keys.js';
import { Labelmap } from './labelmap.js';
import { Panel } from './panel.js';
import { Service } from './service.js';
import { Session } from './session.js';
import { activate, BOX, CLICK, register } from './tools.js';

/** What the model was trained on; of anything else a mask would be a guess. */
const MODALITIES = ['CT', 'MR'];

export class Controller {
  /**
   * @param {any} services OHIF's
   * @param {{root?: string}} [configuration] where the service is, if not at this page's origin
   */
  constructor(services, configuration = {}) {
    this.services = services;
    this.service = new Service({
      root: configuration.root,
      authorization: () => services.userAuthenticationService.getAuthorizationHeader() ?? {},
    });
    this.panel = new Panel(this);
    /** @type {Map<string, {session: Session, labelmap: Labelmap | null}>} by the display set's UID */
    this.sessions = new Map();
    /** Of studies that were left with something unsaved, by the series' UID. @type {Map<string, Session>} */
    this.kept = new Map();
    /** @type {'inside' | 'outside' | 'box' | null} */
    this.tool = null;
    /** What was chosen when a button went down: keys may choose something else before the click is told.
     * @type {WeakMap<Event, {structure: import('./session.js').Structure | null, isInside: boolean}>} */
    this.aims = new WeakMap();
    this.capabilities = null;
    /** Why the service could not be asked what it can do. @type {any} */
    this.unreachable = null;
    this.registered = false;
    this.leaving = [];
    this.drawing = Promise.resolve();
  }

  /** A study was opened. */
  enter() {
    if (!this.registered) {
      register({
        click: (world, event) => this.#clicked(world, event),
        box: corners => this.session?.prompt(volume => ({ box: boxOf(volume, corners) })),
        marks: viewportId => this.#marks(viewportId),
      });
      window.addEventListener('beforeunload', event => {
        if (this.#unsaved().length) event.preventDefault();
      });
      this.registered = true;
    }
    const { viewportGridService: grid, cornerstoneViewportService: viewports } = this.services;
    const look = () => this.#look();
    const subscriptions = [
      grid.subscribe(grid.EVENTS.ACTIVE_VIEWPORT_ID_CHANGED, look),
      grid.subscribe(grid.EVENTS.GRID_STATE_CHANGED, look),
      viewports.subscribe(viewports.EVENTS.VIEWPORT_DATA_CHANGED, look),
    ];
    const { TOOL_ACTIVATED } = window.cornerstoneTools.Enums.Events;
    const activated = () => this.#activated();
    window.cornerstone.eventTarget.addEventListener(TOOL_ACTIVATED, activated);
    const aim = event => this.aims.set(event, this.#aim());
    window.addEventListener('mousedown', aim, true);
    const silence = listen(this.#actions());
    this.leaving = [
      ...subscriptions.map(one => () => one.unsubscribe()),
      () => window.cornerstone.eventTarget.removeEventListener(TOOL_ACTIVATED, activated),
      () => window.removeEventListener('mousedown', aim, true),
      silence,
    ];
    this.learn();
  }

  /** The study was closed. What is not in the PACS is kept until it is opened again. */
  exit() {
    for (const leave of this.leaving) leave();
    const sessions = [...this.sessions.values()].map(({ session }) => session);
    for (const session of sessions) {
      if (session.isUnsaved) this.kept.set(session.series.series, session);
      else session.cancel();
    }
    if (sessions.some(session => session.isUnsaved)) this.#tellKept();
    this.leaving = [];
    this.sessions.clear();
    this.tool = null;
  }

  /** Where the panel is; null when it goes. @param {HTMLElement | null} node */
  mount(node) {
    if (!node) return;
    node.replaceChildren(this.panel.root);
    this.panel.show();
  }

  /** Ask the service what it can do. */
  async learn() {
    try {
      this.capabilities = await this.service.capabilities();
      this.unreachable = null;
      for (const { session } of this.sessions.values()) session.experts = this.#experts();
    } catch (error) {
      this.unreachable = error;
    }
    this.panel.show();
  }

  /** Of the series in the active viewport; null without one. @returns {Session | null} */
  get session() {
    return this.#current()?.session ?? null;
  }

  /** Choose what the main mouse button does. @param {'inside' | 'outside' | 'box'} tool */
  use(tool) {
    const entry = this.#current();
    if (!entry) return;
    this.tool = tool;
    const { toolGroupService } = this.services;
    for (const id of this.#viewportsOf(this.#displaySet())) {
      const group = toolGroupService.getToolGroupForViewport(id);
      if (group) activate(group, tool === 'box' ? BOX : CLICK);
    }
    entry.session.open();
    this.panel.show();
  }

  /** Something changed: draw it. */
  refresh() {
    this.panel.show();
    const entry = this.#current();
    if (!entry?.session.volume) return;
    // One after the other, for adding a representation takes its time.
    this.drawing = this.drawing.then(() => this.#draw(entry)).catch(error => this.#failed(entry, error));
  }

  async #draw(entry) {
    const { session } = entry;
    const displaySet = this.#displaySetOf(session);
    if (!displaySet) return;
    if (!entry.labelmap) {
      if (!session.drawn.length && !session.structure.growing) return this.#mark(displaySet);
      entry.labelmap = new Labelmap(this.services, displaySet, session.volume);
    }
    await entry.labelmap.show(session);
    this.#mark(displaySet);
  }

  #failed(entry, error) {
    console.error(error);
    entry.session.problem = { code: 'not_drawn', message: `The mask can not be shown: ${error.message}`, retry: null };
    this.panel.show();
  }

  /** What keys do; false where there is nothing to do it to. @returns {Record<string, () => unknown>} */
  #actions() {
    const there = act => () => (this.session ? void act(this.session) : false);
    return {
      inside: there(() => this.use('inside')),
      outside: there(() => this.use('outside')),
      box: there(() => this.use('box')),
      add: there(session => session.add()),
      undo: there(session => session.undo()),
      redo: there(session => session.redo()),
      cancel: () => (this.session?.canCancel ? void this.session.cancel() : false),
      candidate: () => (this.session?.candidates.length > 1 ? void this.session.nextCandidate() : false),
    };
  }

  /** Sessions that have something which the PACS does not have. @returns {Session[]} */
  #unsaved() {
    const all = [...[...this.sessions.values()].map(({ session }) => session), ...this.kept.values()];
    return all.filter(session => session.isUnsaved);
  }

  #tellKept() {
    this.services.uiNotificationService?.show({
      title: 'SAM-Med3D-MoE',
      message: 'Structures that are not in the PACS are kept in this tab: open the study again to save them.',
      type: 'warning',
      duration: 10000,
    });
  }

  #mark(displaySet) {
    const { triggerAnnotationRenderForViewportIds } = window.cornerstoneTools.utilities;
    triggerAnnotationRenderForViewportIds(this.#viewportsOf(displaySet));
  }

  #look() {
    this.#current();
    this.refresh();
  }

  /** Session of the active series, made when it is first looked at. */
  #current() {
    const displaySet = this.#displaySet();
    if (!displaySet) return null;
    const uid = displaySet.displaySetInstanceUID;
    if (!this.sessions.has(uid)) {
      const series = { study: displaySet.StudyInstanceUID, series: displaySet.SeriesInstanceUID };
      const session = this.kept.get(series.series) ?? new Session(this.service, series, () => this.refresh());
      this.kept.delete(series.series);
      session.experts = this.#experts();
      this.sessions.set(uid, { session, labelmap: null });
    }
    return this.sessions.get(uid);
  }

  #experts() {
    return (this.capabilities?.experts ?? []).map(one => one.name);
  }

  /** The images in the active viewport, if they are of a kind that can be clicked in. */
  #displaySet() {
    const { viewportGridService, displaySetService } = this.services;
    const { viewports, activeViewportId } = viewportGridService.getState();
    const uids = viewports?.get(activeViewportId)?.displaySetInstanceUIDs ?? [];
    return uids
      .map(uid => displaySetService.getDisplaySetByUID(uid))
      .find(one => one?.imageIds?.length > 1 && MODALITIES.includes(one.Modality));
  }

  #displaySetOf(session) {
    const { series } = session.series;
    return this.services.displaySetService
      .getActiveDisplaySets()
      .find(one => one.SeriesInstanceUID === series && one.imageIds?.length > 1);
  }

  #viewportsOf(displaySet) {
    const { viewports } = this.services.viewportGridService.getState();
    return [...viewports.values()]
      .filter(one => one.displaySetInstanceUIDs?.includes(displaySet?.displaySetInstanceUID))
      .map(one => one.viewportId);
  }

  #aim() {
    return { structure: this.session?.structure ?? null, isInside: this.tool !== 'outside' };
  }

  #clicked(world, event) {
    // Cornerstone keeps a click on an image from taking the focus off a name that was typed.
    const at = document.activeElement;
    if (at instanceof HTMLElement && this.panel.root.contains(at)) at.blur();
    const { session } = this;
    if (!session) return;
    const { structure, isInside: isPositive } = this.aims.get(event) ?? this.#aim();
    const label = isPositive !== (event.ctrlKey || event.shiftKey) ? 1 : 0;
    // Another series may have become the active one by the click itself.
    const aimed = session.structures.includes(structure) ? structure : session.structure;
    session.prompt(volume => {
      const position = toVoxel(volume.affine)(world);
      return isInside(volume, position) ? { position, label } : null;
    }, aimed);
  }

  #marks(viewportId) {
    const { session } = this;
    if (!session?.volume || !this.#viewportsOf(this.#displaySet()).includes(viewportId)) return [];
    const { affine, spacing } = session.volume;
    const reach = Math.max(...spacing) / 2;
    return session
      .promptsOf(session.structure)
      .filter(prompt => prompt.position)
      .map(({ position, label }) => ({ world: toPlace(affine, position), label, reach }));
  }

  /** Another tool was taken from OHIF's own bar. */
  #activated() {
    const { viewportGridService, toolGroupService } = this.services;
    const group = toolGroupService.getToolGroupForViewport(viewportGridService.getActiveViewportId());
    const name = group?.getActivePrimaryMouseButtonTool();
    if (this.tool && name !== CLICK && name !== BOX) {
      this.tool = null;
      this.panel.show();
    }
  }
}
