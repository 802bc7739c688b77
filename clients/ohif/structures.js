/**
 * What a structure may be called, so that its code is right without typing one: SNOMED CT, as in the
 * category "Anatomical Structure" unless another is named.
 *
 * @typedef {{value: string, meaning: string, scheme?: string}} Code
 * @typedef {{label: string, code?: Code, category?: Code}} Kind
 */

const ABNORMAL = { value: '49755003', meaning: 'Morphologically Abnormal Structure' };

/** @type {Kind[]} */
export const KINDS = [
  { label: 'Lesion', code: { value: '52988006', meaning: 'Lesion' }, category: ABNORMAL },
  { label: 'Tumour', code: { value: '108369006', meaning: 'Neoplasm' }, category: ABNORMAL },
  { label: 'Cyst', code: { value: '441457006', meaning: 'Cyst' }, category: ABNORMAL },
  { label: 'Liver', code: { value: '10200004', meaning: 'Liver' } },
  { label: 'Spleen', code: { value: '78961009', meaning: 'Spleen' } },
  { label: 'Pancreas', code: { value: '15776009', meaning: 'Pancreas' } },
  { label: 'Kidney', code: { value: '64033007', meaning: 'Kidney' } },
  { label: 'Gallbladder', code: { value: '28231008', meaning: 'Gallbladder' } },
  { label: 'Stomach', code: { value: '69695003', meaning: 'Stomach' } },
  { label: 'Oesophagus', code: { value: '32849002', meaning: 'Esophagus' } },
  { label: 'Aorta', code: { value: '15825003', meaning: 'Aorta' } },
  { label: 'Heart', code: { value: '80891009', meaning: 'Heart' } },
  { label: 'Lung', code: { value: '39607008', meaning: 'Lung' } },
  { label: 'Urinary bladder', code: { value: '89837001', meaning: 'Urinary bladder' } },
  { label: 'Prostate', code: { value: '41216001', meaning: 'Prostate' } },
  { label: 'Brain', code: { value: '12738006', meaning: 'Brain' } },
  { label: 'Thalamus', code: { value: '42695009', meaning: 'Thalamus' } },
  { label: 'Hippocampus', code: { value: '5366008', meaning: 'Hippocampus' } },
  { label: 'Bone', code: { value: '272673000', meaning: 'Bone' } },
  { label: 'Muscle', code: { value: '71616004', meaning: 'Skeletal and/or smooth muscle' } },
];

/** Red, green, blue; the service gives the same to entries without one. */
export const COLOURS = [
  [230, 85, 80],
  [70, 150, 230],
  [95, 190, 85],
  [240, 180, 50],
  [160, 105, 215],
  [60, 195, 195],
  [240, 125, 185],
  [170, 130, 90],
  [190, 215, 70],
  [110, 120, 250],
];

/** What is known under a label, without regard to case and a number behind it: "lesion 2". */
export function kindOf(label) {
  const name = label.trim().replace(/\s+\d+$/, '').toLowerCase();
  return KINDS.find(kind => kind.label.toLowerCase() === name);
}
