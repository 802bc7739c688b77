/**
 * A session's structures as one segmentation of OHIF, in whatever viewports show the series: slice by
 * slice into the label map's images, which stacks, MPR and volumes share.
 */

import { paint, slicesWith } from './painting.js';

const LABELMAP = 'Labelmap';

export class Labelmap {
  /**
   * @param {any} services OHIF's
   * @param {any} displaySet what the structures are drawn on
   * @param {number[]} slices which slice of the volume each image of the display set is
   * @param {number[]} shape of the volume
   */
  constructor(services, displaySet, slices, shape) {
    this.services = services;
    this.displaySet = displaySet;
    this.columns = shape[0];
    this.places = new Map(slices.map((k, place) => [k, place]));
    this.id = `sammoe:${displaySet.displaySetInstanceUID}`;
    this.drawn = [0, 0];
  }

  get #service() {
    return this.services.segmentationService;
  }

  /** Show the structures: names, colours, masks. @param {import('./session.js').Session} session */
  async show(session) {
    if (!this.#service.getSegmentation(this.id)) await this.#create(session);
    this.#name(session.structures);
    await this.#represent(session.structures);
    this.#draw(session);
  }

  async #create(session) {
    const segments = Object.fromEntries(
      session.structures.map(one => [one.number, segmentOf(one, one === session.structure)])
    );
    await this.#service.createLabelmapForDisplaySet(this.displaySet, {
      segmentationId: this.id,
      label: 'SAM-Med3D-MoE',
      segments,
    });
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
    const touched = [];
    for (const k of range(this.drawn, now)) {
      const place = this.places.get(k);
      const image = cornerstone.cache.getImage(imageIds[place]);
      paint(layers, k, this.columns, image.voxelManager.getScalarData());
      touched.push(place);
    }
    this.drawn = now;
    if (touched.length) {
      const { triggerSegmentationDataModified } =
        cornerstoneTools.segmentation.triggerSegmentationEvents;
      triggerSegmentationDataModified(this.id, touched);
    }
  }
}

/** Whole numbers of two half-open ranges, each once. */
function range(...ranges) {
  const numbers = ranges.flatMap(([from, end]) => Array.from({ length: end - from }, (_, n) => from + n));
  return new Set(numbers);
}

function segmentOf(structure, active) {
  return { segmentIndex: structure.number, label: structure.label, active, locked: false };
}
