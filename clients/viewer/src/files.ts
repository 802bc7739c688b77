/** Files that are dropped or chosen, and files that are saved. */

/**
 * All files of what was dropped, folders too.
 *
 * @throws Error in words for people: it holds no file, or one that the browser can not read.
 */
export async function droppedFiles(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry());
  const found: File[] = [];
  try {
    for (const entry of entries) if (entry !== null) await collect(entry, found);
  } catch {
    throw new Error("What was dropped can not be read. Is it still there, and may the browser read it?");
  }
  if (found.length === 0) throw new Error("What was dropped holds no file.");
  return found;
}

/** What is worth sending: of many files those that are DICOM. */
export async function chooseScan(files: readonly File[]): Promise<File[]> {
  if (files.length < 2) return [...files];
  const checked = await Promise.all(files.map(isDicom));
  const dicom = files.filter((_, n) => checked[n]);
  if (dicom.length > 0) return dicom;
  throw new Error("These are several files and no DICOM series: open one scan at a time.");
}

export function save(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

async function collect(entry: FileSystemEntry, found: File[]): Promise<void> {
  if (entry.isFile) {
    const file = entry as FileSystemFileEntry;
    found.push(await new Promise<File>((resolve, reject) => file.file(resolve, reject)));
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // A browser lists a hundred at a time.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return;
    for (const one of some) await collect(one, found);
  }
}

async function isDicom(file: File): Promise<boolean> {
  if (file.name.toUpperCase() === "DICOMDIR") return false;
  const start = new Uint8Array(await file.slice(128, 132).arrayBuffer());
  return String.fromCharCode(...start) === "DICM";
}
