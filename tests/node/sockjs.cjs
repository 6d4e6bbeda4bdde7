// Users of the real sockjs-client in node; see user.js for what they do.
"use strict";

require("./requests.cjs")(require("./user.js")(require("sockjs-client")))
  .finally(() => process.exit());
