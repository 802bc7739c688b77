/** The page: puts its parts together. */

import { App } from "./app.ts";

const app = new App(new URL("../", document.baseURI));
void app.start();
