/*
 * OHIF with this service behind it, all on one origin: DICOMweb under /dicom-web, the API under /v1.
 * For sign-in with OpenID Connect, add `oidc` as OHIF documents it: its token goes with every request.
 */
window.config = async ({ peerImport }) => {
  const { makeMode } = await import('/sammoe/mode.js');
  return {
    routerBasename: '/',
    extensions: ['/sammoe/index.js'],
    modes: [await makeMode(peerImport)],
    showStudyList: true,
    showWarningMessageForCrossOrigin: false,
    showCPUFallbackMessage: false,
    showLoadingIndicator: true,
    strictZSpacingForVolumeViewport: true,
    maxNumberOfWebWorkers: 3,
    defaultDataSourceName: 'pacs',
    dataSources: [
      {
        namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
        sourceName: 'pacs',
        configuration: {
          friendlyName: 'PACS',
          name: 'pacs',
          qidoRoot: '/dicom-web',
          wadoRoot: '/dicom-web',
          wadoUriRoot: '/dicom-web',
          qidoSupportsIncludeField: false,
          supportsReject: false,
          supportsStow: true,
          imageRendering: 'wadors',
          thumbnailRendering: 'wadors',
          enableStudyLazyLoad: true,
          supportsFuzzyMatching: false,
          supportsWildcard: true,
          omitQuotationForMultipartRequest: true,
          bulkDataURI: { enabled: true },
        },
      },
    ],
  };
};
