/** Three planes through the scan with masks upon them: NiiVue, without its mouse and its text. */

import { NVImage, Niivue, SHOW_RENDER } from "@niivue/niivue";
import type { Colour, Triple } from "../api/types.ts";
import type { Patch } from "../mask/layers.ts";
import { Axes, middleOf, voxelAt } from "../space/axes.ts";
import type { Rectangle } from "./layout.ts";
import { ORDER, PLANES, type Plane } from "./planes.ts";

/** NiiVue's texture unit of the drawing, which holds the masks. */
const DRAWING = 33991;
/** Share of voxels that are darker than black, and brighter than white. */
const TAIL = 0.002;
const SOON_MS = 250;
const CLOSEST = 0.4;
const NEAREST = 20;

/** A place in one of the planes. */
export interface Place {
  plane: Plane;
  /** Voxel of the display. */
  voxel: Triple;
  inside: boolean;
}

export class Slices {
  axes: Axes | null = null;
  /** Called after each drawing. */
  drawn: () => void = () => undefined;

  readonly #niivue: Niivue;
  #tiles: Partial<Record<Plane, Rectangle>> = {};
  /** Where the planes were when they were drawn last, as fractions. */
  #drawnAt: Triple = [0.5, 0.5, 0.5];
  #later = 0;

  private constructor(niivue: Niivue) {
    this.#niivue = niivue;
    const draw = niivue.drawScene.bind(niivue);
    niivue.drawScene = () => {
      clearTimeout(this.#later);
      const text = draw();
      const [x, y, z] = niivue.scene.crosshairPos;
      this.#drawnAt = [x, y, z];
      this.drawn();
      return text;
    };
  }

  static async on(canvas: HTMLCanvasElement): Promise<Slices> {
    const niivue = new Niivue({
      interactive: false,
      dragAndDropEnabled: false,
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      isOrientationTextVisible: false,
      multiplanarShowRender: SHOW_RENDER.NEVER,
      crosshairWidth: 0,
      show3Dcrosshair: false,
      backColor: [0, 0, 0, 1],
      loadingText: "",
      logLevel: "error",
    });
    await niivue.attachToCanvas(canvas, false);
    niivue.drawOpacity = 0.32;
    niivue.drawRimOpacity = 0.95;
    return new Slices(niivue);
  }

  /** Show a scan: the bytes of a NIfTI file. */
  async load(nifti: ArrayBuffer, shape: Triple): Promise<Axes> {
    const niivue = this.#niivue;
    const image = await NVImage.loadFromUrl({
      url: "scan.nii",
      buffer: nifti,
      percentileFrac: TAIL,
    });
    for (const old of [...niivue.volumes]) niivue.removeVolume(old);
    niivue.addVolume(image);
    const axes = new Axes(shape, image.permRAS as number[]);
    this.axes = axes;
    // What NiiVue has for a new drawing keeps two copies and a history of it, which nobody needs.
    niivue.drawBitmap = new Uint8Array(shape[0] * shape[1] * shape[2]);
    niivue.drawTexture = niivue.r8Tex(niivue.drawTexture, DRAWING, [3, ...axes.display], true);
    niivue.scene.pan2Dxyzmm = [0, 0, 0, 1];
    this.goTo(axes.display.map((n) => Math.floor(n / 2)) as Triple);
    return axes;
  }

  /** Put masks on a part of the scan; only that part is sent to the graphics card. */
  paint(patch: Patch | null): void {
    const { axes } = this;
    const bitmap = this.#niivue.drawBitmap;
    if (patch === null || axes === null || bitmap === null) return;
    const [x, y, z] = patch.first;
    const [width, height, depth] = patch.size;
    const [nx, ny] = axes.display;
    for (let c = 0; c < depth; c++) {
      for (let b = 0; b < height; b++) {
        const row = width * (b + height * c);
        bitmap.set(patch.numbers.subarray(row, row + width), x + nx * (y + b + ny * (z + c)));
      }
    }
    const { gl } = this.#niivue;
    gl.activeTexture(DRAWING);
    gl.bindTexture(gl.TEXTURE_3D, this.#niivue.drawTexture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texSubImage3D(
      gl.TEXTURE_3D,
      0,
      ...[x, y, z],
      ...[width, height, depth],
      gl.RED,
      gl.UNSIGNED_BYTE,
      patch.numbers,
    );
    this.draw();
  }

  /** Colours of the masks' numbers. */
  colour(colours: ReadonlyMap<number, Colour>): void {
    const lut = new Uint8ClampedArray(4 * 256);
    for (const [number, colour] of colours) lut.set([...colour, 255], 4 * number);
    this.#niivue.drawLut = { lut, labels: [] } as unknown as Niivue["drawLut"];
    this.#niivue.refreshColormaps();
    this.draw();
  }

  /** Where the planes are, as parts of the canvas. */
  arrange(tiles: Partial<Record<Plane, Rectangle>>): void {
    this.#tiles = tiles;
    this.#niivue.setCustomLayout(
      ORDER.flatMap((plane, sliceType) => {
        const tile = tiles[plane];
        return tile ? [{ sliceType, position: [tile.x, tile.y, tile.width, tile.height] as const }] : [];
      }) as Parameters<Niivue["setCustomLayout"]>[0],
    );
  }

  draw(): void {
    this.#niivue.drawScene();
  }

  /** The voxel of the display through which all planes go. */
  get cross(): Triple {
    return voxelAt([...this.#niivue.scene.crosshairPos], this.axes?.display ?? [1, 1, 1]);
  }

  /** The same of the planes that are seen: they go elsewhere soon, or are there. */
  get seen(): Triple {
    return voxelAt(this.#drawnAt, this.axes?.display ?? [1, 1, 1]);
  }

  goTo(voxel: Triple): void {
    if (this.axes === null) return;
    this.#niivue.scene.crosshairPos = middleOf(voxel, this.axes.display);
    this.draw();
  }

  /** The same, drawn with what is drawn next if that comes soon: a mask most of the time. */
  goSoon(voxel: Triple): void {
    if (this.axes === null) return;
    this.#niivue.scene.crosshairPos = middleOf(voxel, this.axes.display);
    clearTimeout(this.#later);
    this.#later = window.setTimeout(() => this.draw(), SOON_MS);
  }

  /** What is at a place of the canvas, in CSS pixels. */
  at(x: number, y: number): Place | null {
    const { axes } = this;
    const plane = this.planeAt(x, y);
    if (axes === null || plane === null) return null;
    const fraction = this.#fraction(plane, x, y);
    if (fraction === null) return null;
    const voxel = voxelAt(fraction, axes.display);
    const { depth } = PLANES[plane];
    // What is seen counts, not what is about to be.
    voxel[depth] = this.seen[depth];
    const inside = fraction.every((part, axis) => axis === depth || (part >= 0 && part < 1));
    return { plane, voxel, inside };
  }

  planeAt(x: number, y: number): Plane | null {
    const [across, up] = this.#share(x, y);
    for (const plane of ORDER) {
      const tile = this.#tiles[plane];
      if (!tile) continue;
      const [right, bottom] = [tile.x + tile.width, tile.y + tile.height];
      if (across >= tile.x && across < right && up >= tile.y && up < bottom) return plane;
    }
    return null;
  }

  /** Where a voxel of the display is in a plane, as if it lay there; CSS pixels. */
  project(voxel: readonly number[], plane: Plane): [number, number] | null {
    const { axes } = this;
    if (axes === null) return null;
    const place = voxel.map((n, r) => (n + 0.5) / axes.display[r]) as Triple;
    const { depth } = PLANES[plane];
    place[depth] = this.#drawnAt[depth];
    const found = this.#niivue.frac2canvasPosWithTile(place, ORDER.indexOf(plane));
    const dpr = this.#dpr;
    return found === null ? null : [found.pos[0] / dpr, found.pos[1] / dpr];
  }

  /** Zoom by a factor around a place of the canvas. */
  zoom(factor: number, x: number, y: number): void {
    const plane = this.planeAt(x, y);
    const fraction = plane && this.#fraction(plane, x, y);
    if (!fraction) return;
    const pan = this.#niivue.scene.pan2Dxyzmm;
    const mm = this.#niivue.frac2mm(fraction);
    const zoom = Math.min(NEAREST, Math.max(CLOSEST, pan[3] * factor));
    for (let axis = 0; axis < 3; axis++) pan[axis] -= mm[axis] * (zoom - pan[3]);
    pan[3] = zoom;
    this.draw();
  }

  /** Move the picture so that what was at one place of the canvas is at another. */
  drag(plane: Plane, from: [number, number], to: [number, number]): void {
    const [before, after] = [this.#fraction(plane, ...from), this.#fraction(plane, ...to)];
    if (before === null || after === null) return;
    const pan = this.#niivue.scene.pan2Dxyzmm;
    const [one, other] = [this.#niivue.frac2mm(before), this.#niivue.frac2mm(after)];
    for (let axis = 0; axis < 3; axis++) pan[axis] += pan[3] * (other[axis] - one[axis]);
    this.draw();
  }

  resetView(): void {
    this.#niivue.scene.pan2Dxyzmm = [0, 0, 0, 1];
    this.draw();
  }

  /** Grey values that are black and white. */
  get window(): [number, number] {
    const image = this.#niivue.volumes[0];
    return [image?.cal_min ?? 0, image?.cal_max ?? 1];
  }

  set window([low, high]: [number, number]) {
    const image = this.#niivue.volumes[0];
    if (!image) return;
    image.cal_min = low;
    image.cal_max = Math.max(high, low + 1e-6);
    this.#niivue.updateGLVolume();
  }

  /** What the scan's own numbers suggest. */
  resetWindow(): void {
    const image = this.#niivue.volumes[0];
    if (image) this.window = [image.robust_min ?? 0, image.robust_max ?? 1];
  }

  get #dpr(): number {
    return this.#niivue.uiData.dpr ?? 1;
  }

  #share(x: number, y: number): [number, number] {
    const { canvas } = this.#niivue;
    return [x / (canvas?.clientWidth || 1), y / (canvas?.clientHeight || 1)];
  }

  #fraction(plane: Plane, x: number, y: number): Triple | null {
    const wanted = ORDER.indexOf(plane);
    const tile = this.#niivue.screenSlices.findIndex(({ axCorSag }) => axCorSag === wanted);
    if (tile < 0) return null;
    const fraction = this.#niivue.screenXY2TextureFrac(x * this.#dpr, y * this.#dpr, tile, false);
    return [fraction[0], fraction[1], fraction[2]];
  }
}
