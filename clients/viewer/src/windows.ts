/** Grey values for kinds of tissue, Hounsfield units. */

export const WINDOWS: Readonly<Record<string, [number, number]>> = {
  "Soft tissue": [-160, 240],
  Lung: [-1350, 150],
  Bone: [-450, 1050],
  Brain: [0, 80],
};
