import assert from "node:assert/strict";
import { test } from "node:test";
import { droppedFiles } from "../src/files.ts";

type Entry = Partial<FileSystemFileEntry & FileSystemDirectoryEntry>;

const dropped = (...entries: (Entry | null)[]): DataTransfer =>
  ({ items: entries.map((entry) => ({ webkitGetAsEntry: () => entry })) }) as unknown as DataTransfer;

const file = (name: string): Entry => ({ isFile: true, file: (done) => done(new File([], name)) });

function folder(...inside: Entry[]): Entry {
  const pieces = [inside, []] as unknown as FileSystemEntry[][];
  const readEntries = (done: FileSystemEntriesCallback): void => done(pieces.shift() ?? []);
  return { isFile: false, createReader: () => ({ readEntries }) };
}

test("what is dropped is all of its files", async () => {
  const found = await droppedFiles(dropped(file("a"), folder(file("b"), folder(file("c")))));
  assert.deepEqual(found.map(({ name }) => name), ["a", "b", "c"]);
});

test("what can not be read is told", async () => {
  const gone: Entry = { isFile: true, file: (_, fail) => fail?.(new DOMException("gone", "NotFoundError")) };
  await assert.rejects(droppedFiles(dropped(file("a"), gone)), /can not be read/);
});

test("a drop without a file is told", async () => {
  await assert.rejects(droppedFiles(dropped(null)), /no file/);
  await assert.rejects(droppedFiles(dropped(folder())), /no file/);
});
