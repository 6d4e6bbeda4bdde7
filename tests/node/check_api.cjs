// Validates doc/openapi.yaml and doc/asyncapi.yaml, and the examples of the
// latter:
//
//     NODE_PATH=build/tools/node_modules node tests/node/check_api.cjs doc
"use strict";

const { readFileSync } = require("node:fs");
const SwaggerParser = require("@apidevtools/swagger-parser");
const { Parser } = require("@asyncapi/parser");
const Ajv = require("ajv");

const INFORMATION = 2; // and 0 an error, 1 a warning

async function checkOpenApi(path) {
  const api = await SwaggerParser.validate(path);
  return `${Object.keys(api.paths).length} paths`;
}

async function checkAsyncApi(path) {
  const { document, diagnostics } = await new Parser().parse(
    readFileSync(path, "utf8"));
  const complaints = diagnostics.filter(d => d.severity < INFORMATION);
  if (complaints.length > 0)
    throw new Error(complaints.map(
      d => `${d.path.join(".")}: ${d.message}`).join("\n"));
  const messages = document.components().messages().all();
  const ajv = new Ajv({ strict: false });
  for (const message of messages) {
    const isValid = ajv.compile(message.payload().json());
    const examples = message.examples().all();
    if (examples.length === 0)
      throw new Error(`${message.name()}: no example`);
    for (const example of examples)
      if (!isValid(example.payload()))
        throw new Error(`the example of ${message.name()}: `
          + ajv.errorsText(isValid.errors));
  }
  return `${messages.length} messages`;
}

async function main(directory) {
  for (const [name, check] of [["openapi.yaml", checkOpenApi],
    ["asyncapi.yaml", checkAsyncApi]])
    console.log(`${name}: ${await check(`${directory}/${name}`)}`);
}

main(process.argv[2]).catch(error => {
  console.error(error.message);
  process.exitCode = 1;
});
