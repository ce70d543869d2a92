// Node takes a .js file without a package.json for CommonJS, older versions without a second look;
// the site's scripts are ES modules.

import { register } from "node:module";

const hook = `
  export const load = (url, context, next) =>
    next(url, /\\/static\\/.*\\.js$/.test(url) ? { ...context, format: "module" } : context);
`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
