// What the other programs here are to a test: each line of standard input is a
// request {"do": NAME, ...}, and it is answered by a line {"value": ...} or
// {"error": "..."}. The program ends with its input.
"use strict";

const { createInterface } = require("node:readline");

module.exports = async function serve(handlers) {
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    let answer;
    try {
      answer = { value: await handlers[request.do](request) ?? null };
    } catch (error) {
      answer = { error: String(error.stack || error) };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
};
