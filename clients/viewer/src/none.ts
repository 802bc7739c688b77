/** In place of decoders that NiiVue has for a format which the page never reads. */

export default null;
