/** Surfaces of the masks, to be turned with the mouse or the arrow keys. */

import { NVMesh, Niivue } from "@niivue/niivue";
import type { Colour } from "../api/types.ts";
import type { Mask } from "../mask/packed.ts";
import type { Surface } from "../mask/surface.ts";

/** In place of a number whose surface is made for nothing. */
const STALE = -1;

export class Solid {
  readonly #canvas: HTMLCanvasElement;
  readonly #worker: Worker;
  readonly #meshes = new Map<number, NVMesh>();
  readonly #colours = new Map<number, Colour>();
  /** Masks whose surfaces are wanted: the latest of each number. */
  readonly #wanted = new Map<number, Mask>();
  #seen: ReadonlySet<number> = new Set();
  #scene: Promise<Niivue> | null = null;
  #niivue: Niivue | null = null;
  #busy: number | null = null;
  #affine: number[][] = [];

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    this.#worker = new Worker(new URL("../mask/surface.worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }) => void this.#made(data.number, data.surface);
  }

  /** Begin with another volume; `affine`: its voxels to RAS+ mm. */
  clear(affine: number[][]): void {
    this.#affine = affine;
    this.#wanted.clear();
    if (this.#busy !== null) this.#busy = STALE;
    for (const number of [...this.#meshes.keys()]) this.#drop(number);
    this.draw();
  }

  show(number: number, mask: Mask | null): void {
    this.#wanted.delete(number);
    if (this.#busy === number) this.#busy = STALE;
    if (mask === null || mask.count === 0) {
      this.#drop(number);
      this.draw();
    } else {
      this.#wanted.set(number, mask);
      this.#next();
    }
  }

  colour(colours: ReadonlyMap<number, Colour>): void {
    for (const [number, colour] of colours) {
      this.#colours.set(number, colour);
      const mesh = this.#meshes.get(number);
      if (this.#niivue && mesh && mesh.rgba255.slice(0, 3).join() !== colour.join()) {
        mesh.rgba255 = Uint8Array.from([...colour, 255]);
        mesh.updateMesh(this.#niivue.gl);
      }
    }
    this.draw();
  }

  /** Show these numbers' surfaces and no others. */
  see(numbers: readonly number[]): void {
    this.#seen = new Set(numbers);
    let changed = false;
    for (const [number, mesh] of this.#meshes) {
      const visible = this.#seen.has(number);
      changed ||= mesh.visible !== visible;
      mesh.visible = visible;
    }
    if (changed) this.draw();
  }

  turn(azimuth: number, elevation: number): void {
    const scene = this.#niivue?.scene;
    if (!scene) return;
    this.#niivue?.setRenderAzimuthElevation(
      scene.renderAzimuth + azimuth,
      scene.renderElevation + elevation,
    );
  }

  draw(): void {
    this.#niivue?.drawScene();
  }

  #next(): void {
    if (this.#busy !== null) return;
    for (const [number, mask] of this.#wanted) {
      this.#wanted.delete(number);
      this.#busy = number;
      this.#worker.postMessage({ number, mask, affine: this.#affine });
      return;
    }
  }

  async #made(number: number, surface: Surface): Promise<void> {
    const niivue = await this.#begun();
    // Superseded while it was made, or taken back: then nobody wants it.
    const current = this.#busy === number && !this.#wanted.has(number);
    this.#busy = null;
    if (current) {
      this.#drop(number);
      const colour = Uint8Array.from([...(this.#colours.get(number) ?? [200, 200, 200]), 255]);
      const { positions, triangles } = surface;
      const mesh = new NVMesh(positions, triangles, `${number}.mz3`, colour, 1, true, niivue.gl);
      mesh.visible = this.#seen.has(number);
      this.#meshes.set(number, mesh);
      niivue.addMesh(mesh);
    }
    this.#next();
  }

  /** A second scene takes a while to set up: not before there is something to show in it. */
  #begun(): Promise<Niivue> {
    this.#scene ??= this.#begin();
    return this.#scene;
  }

  async #begin(): Promise<Niivue> {
    const niivue = new Niivue({
      dragAndDropEnabled: false,
      backColor: [0.027, 0.035, 0.043, 1],
      loadingText: "",
      logLevel: "error",
      show3Dcrosshair: false,
    });
    await niivue.attachToCanvas(this.#canvas, true);
    // The box around it has the focus.
    this.#canvas.tabIndex = -1;
    niivue.scene.renderAzimuth = 160;
    niivue.scene.renderElevation = 15;
    this.#niivue = niivue;
    return niivue;
  }

  #drop(number: number): void {
    const mesh = this.#meshes.get(number);
    if (!mesh) return;
    this.#meshes.delete(number);
    this.#niivue?.removeMesh(mesh);
  }
}
