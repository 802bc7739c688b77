/** Pictures of buttons: paths on a grid of 24, drawn with lines. */

export const ICONS = {
  inside: "M12 5v14M5 12h14",
  outside: "M5 12h14",
  box: "M5 5h14v14H5z",
  look: "M3 12s3.500-6 9-6 9 6 9 6-3.500 6-9 6-9-6-9-6ZM12 9.500a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5Z",
  undo: "M9 6 4 11l5 5M4 11h9a6 6 0 0 1 6 6v1",
  redo: "M15 6l5 5-5 5M20 11h-9a6 6 0 0 0-6 6v1",
  candidate: "M9 5a7 7 0 1 0 0 14A7 7 0 0 0 9 5ZM15 5a7 7 0 1 1 0 14",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  enlarge: "M14 4h6v6M20 4l-7 7M10 20H4v-6M4 20l7-7",
  help: "M9 9a3 3 0 1 1 4.500 2.600c-1 .6-1.500 1.200-1.500 2.400M12 17.500v.5M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z",
  open: "M3 7v11h18V8h-9l-2-2H3z",
  eye: "M3 12s3.500-6 9-6 9 6 9 6-3.500 6-9 6-9-6-9-6ZM12 9.500a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5Z",
  hidden: "M3 12s3.500-6 9-6 9 6 9 6-3.500 6-9 6-9-6-9-6ZM4 4l16 16",
  edit: "M4 20l1-4L16 5l3 3L8 19l-4 1Z",
  remove: "M6 6l12 12M18 6 6 18",
  add: "M12 6v12M6 12h12",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  send: "M12 20V9M7 13l5-5 5 5M5 4h14",
} as const;
