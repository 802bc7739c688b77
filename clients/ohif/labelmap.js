/**
 * A session's structures as one segmentation of OHIF, in whatever viewports show the series: slice by
 * slice into the label map's images, which stacks, MPR and volumes share.
 */

import { slicesOf } from './geometry.js';
import { paint, slicesWith } from './painting.js';

const LABELMAP = 'Labelmap';

export class Labelmap {
  /**
   * @param {any} services OHIF's
   * @param {any} displaySet what the structures are drawn on
   * @param {any} volume the same, as the service describes it
   */
  constructor(services, displaySet, volume) {
    this.services = services;
    this.displaySet = displaySet;
    this.volume = volume;
    this.id = `sammoe:${displaySet.displaySetInstanceUID}`;
    /** Which image of the label map is a slice of the volume. @type {Map<number, number>} */
    this.places = new Map();
    this.drawn = [0, 0];
  }

  get #service() {
    return this.services.segmentationService;
  }

  /**
   * Show the structures: names, colours, masks.
   *
   * @param {import('./session.js').Session} session
   * @throws {import('./geometry.js').GridsDiffer} the viewer's images are not on the volume's slices
   */
  async show(session) {
    if (!this.#service.getSegmentation(this.id)) await this.#create(session);
    this.#name(session.structures);
    await this.#represent(session.structures);
    this.#draw(session);
  }

  async #create(session) {
    slicesOf(this.volume, this.displaySet.imageIds.map(planeOf));
    const segments = Object.fromEntries(
      session.structures.map(one => [one.number, segmentOf(one, one === session.structure)])
    );
    await this.#service.createLabelmapForDisplaySet(this.displaySet, {
      segmentationId: this.id,
      label: 'SAM-Med3D-MoE',
      segments,
    });
    const { imageIds } = this.#service.getSegmentation(this.id).representationData[LABELMAP];
    // By what each image lies on, since the viewer may sort a series anew.
    const lies = imageIds.map(id => planeOf(window.cornerstone.cache.getImage(id).referencedImageId));
    this.places = new Map(slicesOf(this.volume, lies).map((k, place) => [k, place]));
    this.drawn = [0, 0];
  }

  #name(structures) {
    for (const one of structures) {
      const segment = this.#service.getSegmentation(this.id).segments[one.number];
      if (!segment) {
        this.#service.addSegment(this.id, { ...segmentOf(one, true), color: [...one.colour, 255] });
      } else if (segment.label !== one.label) {
        this.#service.setSegmentLabel(this.id, one.number, one.label);
      }
    }
  }

  /** Put it into every viewport that shows the series and does not have it. */
  async #represent(structures) {
    const has = this.#service.getViewportIdsWithSegmentation(this.id);
    for (const viewportId of this.viewports()) {
      if (has.includes(viewportId)) continue;
      await this.#service.addSegmentationRepresentation(viewportId, {
        segmentationId: this.id,
        type: LABELMAP,
      });
      for (const { number, colour } of structures) {
        this.#service.setSegmentColor(viewportId, this.id, number, [...colour, 255]);
      }
    }
  }

  /** Ids of the viewports that show the series. @returns {string[]} */
  viewports() {
    const { viewports } = this.services.viewportGridService.getState();
    return [...viewports.values()]
      .filter(one => one.displaySetInstanceUIDs?.includes(this.displaySet.displaySetInstanceUID))
      .map(one => one.viewportId)
      .filter(id => this.services.cornerstoneViewportService.getCornerstoneViewport(id));
  }

  #draw(session) {
    const { cornerstone, cornerstoneTools } = window;
    const layers = session.structures.map(one => ({ number: one.number, mask: session.maskOf(one) }));
    const now = slicesWith(layers.map(layer => layer.mask));
    const { imageIds } = this.#service.getSegmentation(this.id).representationData[LABELMAP];
    const touched = range(this.drawn, now);
    for (const k of touched) {
      const image = cornerstone.cache.getImage(imageIds[this.places.get(k)]);
      paint(layers, k, this.volume.shape[0], image.voxelManager.getScalarData());
    }
    this.drawn = now;
    if (!touched.size) return;
    // Not which slices: in MPR they have other numbers than the images, and some would stay as they were.
    cornerstoneTools.segmentation.triggerSegmentationEvents.triggerSegmentationDataModified(this.id);
  }
}

/** @returns {import('./geometry.js').Plane} */
function planeOf(imageId) {
  return window.cornerstone.metaData.get('imagePlaneModule', imageId);
}

/** Whole numbers of half-open ranges, each once. @param {number[][]} ranges */
function range(...ranges) {
  const numbers = ranges.flatMap(([from, end]) => Array.from({ length: end - from }, (_, n) => from + n));
  return new Set(numbers);
}

function segmentOf(structure, active) {
  return { segmentIndex: structure.number, label: structure.label, active, locked: false };
}
