/** What OHIF puts into its page. */
interface Window {
  config: any;
  cornerstone: any;
  cornerstoneTools: any;
}
