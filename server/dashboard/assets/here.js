// Where this page is. The address that a browser has for it may hold the name and password
// that somebody opened it with, and with those in it nothing can be asked for.

// here is the address of a path beside the page.
export const here = (path) => location.origin + location.pathname.replace(/[^/]*$/, '') + path;
