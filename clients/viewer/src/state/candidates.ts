/** Masks of an answer that may be looked at in place of it. */

import type { CandidateName, Segmentation } from "../api/types.ts";

/** The answer itself, and the masks that it was made of or chosen from: the likelier one first. */
export function candidatesOf(segmentation: Segmentation | null): CandidateName[] {
  if (segmentation === null) return [];
  const { used, fused, top, rival, scores, s_top } = segmentation.route;
  const names: CandidateName[] = ["fused"];
  if (used !== "general") names.push("general");
  if (top !== null && (used === "general" || fused)) names.push("expert");
  if (!rival) return names;
  // What the best expert's score leaves to nobody; heads score each expert for itself.
  const torn = used !== "general" && scores[rival] > 1 - (s_top ?? 0);
  names.splice(torn ? 1 : names.length, 0, "rival");
  return names;
}

/** Who makes a candidate: "general", or an expert's name where that is known. */
export function decoderOf(name: Exclude<CandidateName, "fused">, { route }: Segmentation): string | null {
  return { general: "general", expert: route.top, rival: route.rival }[name];
}

/** What a candidate is, in words. */
export function candidateText(name: CandidateName, segmentation: Segmentation): string {
  if (name === "fused") return "the answer";
  if (name === "general") return "general model";
  const place = name === "rival" ? "second expert" : "expert";
  return `${place} ${decoderOf(name, segmentation) ?? ""}`.trim();
}
