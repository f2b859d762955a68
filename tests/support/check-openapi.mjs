// Is a file valid OpenAPI 3.1? check-openapi.mjs FILE
import { readFileSync } from "node:fs";
import { Validator } from "@seriousme/openapi-schema-validator";
import { parse } from "yaml";

const file = process.argv[2];
const validator = new Validator();
const result = await validator.validate(parse(readFileSync(file, "utf8")));
if (!result.valid) {
  for (const error of [result.errors].flat()) {
    console.error(`${file}: ${error.instancePath ?? ""} ${error.message ?? error}`);
  }
  process.exit(1);
}
if (!validator.version.startsWith("3.1")) {
  console.error(`${file}: OpenAPI ${validator.version}, 3.1 was expected`);
  process.exit(1);
}
