/** The three planes: which of the display's axes each one shows, and what lies at its edges. */

export type Plane = "axial" | "coronal" | "sagittal";

export interface PlaneShape {
  readonly title: string;
  /** The display's axis that runs to the right of the screen, upwards, and through the plane. */
  readonly across: number;
  readonly up: number;
  readonly depth: number;
  /** Whether the axis across runs to the left: as radiologists look, with the patient's left at the right. */
  readonly mirrored: boolean;
  /** Left, right, top, bottom. */
  readonly edges: readonly [string, string, string, string];
}

export const PLANES: Readonly<Record<Plane, PlaneShape>> = {
  axial: { title: "Axial", across: 0, up: 1, depth: 2, mirrored: true, edges: ["R", "L", "A", "P"] },
  coronal: { title: "Coronal", across: 0, up: 2, depth: 1, mirrored: true, edges: ["R", "L", "S", "I"] },
  sagittal: { title: "Sagittal", across: 1, up: 2, depth: 0, mirrored: true, edges: ["A", "P", "S", "I"] },
};

/** In the order of NiiVue's numbers for them. */
export const ORDER: readonly Plane[] = ["axial", "coronal", "sagittal"];
