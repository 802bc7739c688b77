/** Masks of a volume's segmentations: fetched once, unpacked, and of the volume's shape. */

import type { Client } from "../api/client.ts";
import type { CandidateName, Volume } from "../api/types.ts";
import { type Mask, NoMask, unpack } from "../mask/packed.ts";

export class Masks {
  readonly #client: Client;
  readonly #volume: Volume;
  readonly #known = new Map<string, Mask>();

  constructor(client: Client, volume: Volume) {
    this.#client = client;
    this.#volume = volume;
  }

  /** One that is at hand. */
  known(segmentation: string, candidate: CandidateName): Mask | undefined {
    return this.#known.get(`${segmentation} ${candidate}`);
  }

  add(segmentation: string, candidate: CandidateName, mask: Mask): void {
    this.#known.set(`${segmentation} ${candidate}`, mask);
  }

  /** One that is at hand, or else the service's. */
  async of(segmentation: string, candidate: CandidateName): Promise<Mask> {
    const known = this.known(segmentation, candidate);
    if (known !== undefined) return known;
    const mask = await this.read(await this.#client.mask(segmentation, candidate));
    this.add(segmentation, candidate, mask);
    return mask;
  }

  async read(packed: Uint8Array): Promise<Mask> {
    const mask = await unpack(packed);
    if (mask.shape.join() !== this.#volume.shape.join()) throw new NoMask("The mask is of another scan.");
    return mask;
  }
}
