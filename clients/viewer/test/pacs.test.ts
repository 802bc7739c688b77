import assert from "node:assert/strict";
import { test } from "node:test";
import { studiesOf } from "../src/panels/pacs.ts";

test("series are listed in their studies, as a PACS says them", () => {
  const one = { study: "1.2", series: "1.2.1", modality: "CT", study_date: "2026-01-31", instances: 40 };
  const other = { study: "1.3", series: "1.3.1", modality: "MR", study_date: null, instances: null };
  assert.deepEqual(studiesOf([one, other, { ...one, series: "1.2.2", instances: null }]), [
    {
      data: { "0020000D": { Value: ["1.2"] }, "00080020": { Value: ["20260131"] } },
      series: [
        { "0020000E": { Value: ["1.2.1"] }, "00080060": { Value: ["CT"] }, "00201209": { Value: [40] } },
        { "0020000E": { Value: ["1.2.2"] }, "00080060": { Value: ["CT"] } },
      ],
    },
    {
      data: { "0020000D": { Value: ["1.3"] } },
      series: [{ "0020000E": { Value: ["1.3.1"] }, "00080060": { Value: ["MR"] } }],
    },
  ]);
});
