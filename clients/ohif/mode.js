/** A mode of OHIF: its basic one, with the panel of this extension open. */

import { PANEL } from './index.js';

/** @param {(name: string) => Promise<any>} peerImport as OHIF gives it to a configuration function */
export async function makeMode(peerImport) {
  const basic = await peerImport('@ohif/mode-basic');
  const { modeInstance } = basic;
  const [route] = modeInstance.routes;
  const { layoutInstance } = route;
  const [segmentations] = layoutInstance.props.rightPanels;
  const props = { ...layoutInstance.props, rightPanels: [PANEL, segmentations], rightPanelClosed: false };
  return {
    ...basic,
    id: 'sammoe',
    modeInstance: {
      ...modeInstance,
      id: 'sammoe',
      routeName: 'sammoe',
      displayName: 'SAM-Med3D-MoE',
      hide: false,
      nonModeModalities: [...modeInstance.nonModeModalities, 'SEG', 'RTSTRUCT'],
      routes: [{ ...route, path: 'sammoe', layoutInstance: { ...layoutInstance, props } }],
    },
  };
}
