/** Mouse and touch: clicks and boxes on images, and the marks of clicks that were made. */

export const CLICK = 'SamMed3DClick';
export const BOX = 'SamMed3DBox';

const RADIUS = 4;
const INSIDE = 'rgb(110, 230, 130)';
const OUTSIDE = 'rgb(255, 105, 100)';

/**
 * Make the tools known to Cornerstone, once for the page.
 *
 * @param {object} hooks what the tools call
 * @param {(world: number[], event: MouseEvent | TouchEvent) => void} hooks.click `event`: what the browser
 *   said when the button went down, up to 400 ms ago, for it might have become a double click
 * @param {(corners: number[][]) => void} hooks.box
 * @param {(viewportId: string) => {world: number[], label: 0 | 1, reach: number}[]} hooks.marks with the mm
 *   in front of and behind a mark in which it shows
 */
export function register(hooks) {
  const { cornerstone, cornerstoneTools } = window;
  const { AnnotationDisplayTool, RectangleROITool, addTool, drawing, Enums } = cornerstoneTools;

  class ClickTool extends AnnotationDisplayTool {
    static toolName = CLICK;

    constructor(props = {}, defaults = { supportedInteractionTypes: ['Mouse', 'Touch'] }) {
      super(props, defaults);
      this.preMouseDownCallback = event => this.#clicked(event);
      this.preTouchStartCallback = event => this.#clicked(event);
      this.renderAnnotation = draw;
    }

    #clicked({ detail }) {
      hooks.click([...detail.currentPoints.world], detail.event);
      return true;
    }
  }

  function draw({ viewport }, helper) {
    const { focalPoint, viewPlaneNormal } = viewport.getCamera();
    hooks.marks(viewport.id).forEach(({ world, label, reach }, number) => {
      const away = viewPlaneNormal.reduce((sum, n, axis) => sum + n * (world[axis] - focalPoint[axis]), 0);
      if (Math.abs(away) > reach) return;
      const color = label ? INSIDE : OUTSIDE;
      const style = { color, fill: color, fillOpacity: 0.35, lineWidth: 2 };
      drawing.drawCircle(helper, CLICK, `${number}`, viewport.worldToCanvas(world), RADIUS, style);
    });
    return true;
  }

  class BoxTool extends RectangleROITool {
    static toolName = BOX;

    constructor(props = {}) {
      super({ ...props, configuration: { calculateStats: false, getTextLines: () => [] } });
    }
  }

  addTool(ClickTool);
  addTool(BoxTool);
  cornerstone.eventTarget.addEventListener(Enums.Events.ANNOTATION_COMPLETED, ({ detail }) => {
    const { annotation } = detail;
    if (annotation.metadata.toolName !== BOX) return;
    cornerstoneTools.annotation.state.removeAnnotation(annotation.annotationUID);
    hooks.box(annotation.data.handles.points.map(point => [...point]));
  });
}

/** Let a tool have the main mouse button in a viewport's tool group; null: give it back. */
export function activate(toolGroup, name) {
  const { MouseBindings, KeyboardBindings } = window.cornerstoneTools.Enums;
  for (const tool of [CLICK, BOX]) if (!toolGroup.hasTool(tool)) toolGroup.addTool(tool);
  const current = toolGroup.getActivePrimaryMouseButtonTool();
  if (current && current !== name) toolGroup.setToolPassive(current);
  const primary = { mouseButton: MouseBindings.Primary };
  const other = [KeyboardBindings.Ctrl, KeyboardBindings.Shift];
  toolGroup.setToolActive(name, {
    bindings: name === CLICK ? [primary, ...other.map(modifierKey => ({ ...primary, modifierKey }))] : [primary],
  });
}
