// Are recorded HTTP exchanges what openapi.yaml says? validate.mjs OPENAPI EXCHANGES
//
// EXCHANGES holds one exchange a line:
//   {"test","method","path","status","headers":{"lower-case-name":"value"},"body":"…"}
// A member "skip": true exempts one (what libmicrohttpd answers by itself has its own form). Each violation
// is one line that starts with the test's name; the exit code is 1 when there is any.
import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { parse } from "yaml";

const [openapiFile, exchangesFile] = process.argv.slice(2);
const openapi = parse(readFileSync(openapiFile, "utf8"));

// The whole document is one schema to ajv, so that every $ref in it resolves.
const ajv = new Ajv2020.default({ strict: false, allErrors: true, validateSchema: false });
addFormats.default(ajv);
ajv.addSchema(openapi, "openapi");

const escape = (key) => String(key).replaceAll("~", "~0").replaceAll("/", "~1");

// A place in the document: its value and its JSON pointer. $ref is followed.
function at(pointer) {
  let value = openapi;
  for (const key of pointer) {
    value = value?.[key];
  }
  if (value && typeof value.$ref === "string" && value.$ref.startsWith("#/")) {
    const keys = value.$ref.slice(2).split("/");
    return at(keys.map((key) => decodeURIComponent(key).replaceAll("~1", "/").replaceAll("~0", "~")));
  }
  return value === undefined ? undefined : { value, pointer };
}

const into = (place, ...keys) => (place === undefined ? undefined : at([...place.pointer, ...keys]));

const validators = new Map();
function schemaErrors(place, data) {
  const reference = "openapi#/" + place.pointer.map((key) => encodeURIComponent(escape(key))).join("/");
  if (!validators.has(reference)) {
    validators.set(reference, ajv.compile({ $ref: reference }));
  }
  const validate = validators.get(reference);
  if (validate(data)) {
    return [];
  }
  return validate.errors.map((error) => {
    const more = error.params?.unevaluatedProperty ?? error.params?.additionalProperty ?? error.params?.allowedValues;
    return `${error.instancePath || "/"} ${error.message}${more ? ` (${more})` : ""}`;
  });
}

// Literal segments win over templates, as they do in the daemon's router.
const templates = Object.keys(openapi.paths ?? {}).map((template) => ({ template, segments: template.split("/") }));
// A slash too many around a route that runs commands, and what clients put behind its query.
function plainPath(target) {
  const [path, query = ""] = target.split("?");
  const plain = path.replace(/(\/redis)\/{2,}/, "$1/").replace(/(\/redis(\/pipeline|\/multi-exec)?)\/$/, "$1");
  return plain + (plain.endsWith("/redis") ? (/\/(pipeline|multi-exec)$/.exec(query)?.[0] ?? "") : "");
}

function findPath(target) {
  const segments = plainPath(target).split("/");
  let best;
  let bestLiterals = -1;
  for (const { template, segments: all } of templates) {
    const hasRest = ["{arguments}", "{channels}", "{patterns}"].includes(all.at(-1)); // any number of segments, none included; empty ones are arguments, too
    const wanted = hasRest ? all.slice(0, -1) : all;
    if (hasRest ? segments.length < wanted.length : segments.length !== wanted.length) {
      continue;
    }
    const isTemplate = wanted.map((segment) => segment.startsWith("{") && segment.endsWith("}"));
    if (!wanted.every((segment, i) => (isTemplate[i] ? segments[i] !== "" || hasRest : segment === segments[i]))) {
      continue;
    }
    const literals = isTemplate.filter((template) => !template).length;
    if (literals > bestLiterals) {
      best = template;
      bestLiterals = literals;
    }
  }
  return best;
}

// The description of an answer, or a string that says why there is none.
function findResponse(method, path, status) {
  const template = findPath(path);
  if (template === undefined) {
    return status === 404
      ? (at(["components", "responses", "NotFound"]) ?? "components.responses.NotFound is missing")
      : `path is not described, and the status is not 404`;
  }
  const item = at(["paths", template]);
  let operation = into(item, method.toLowerCase());
  if (operation === undefined && method === "HEAD") {
    operation = into(item, "get");
  }
  if (operation === undefined) {
    if (method === "OPTIONS" && status === 204) {
      return { value: { headers: { Allow: { required: true } } }, pointer: [] };
    }
    if (status === 404 && template.includes("/redis")) {
      return at(["components", "responses", "NotFound"]) ?? "components.responses.NotFound is missing"; // no commands are run
    }
    return status === 405
      ? (at(["components", "responses", "MethodNotAllowed"]) ?? "components.responses.MethodNotAllowed is missing")
      : `method is not described for ${template}, and the status is not 405`;
  }
  return (
    into(operation, "responses", String(status)) ??
    into(operation, "responses", `${Math.floor(status / 100)}XX`) ??
    into(operation, "responses", "default") ??
    `status ${status} is not described for ${method} ${template}`
  );
}

// A header's text as the type that its schema names.
function headerValue(schema, text) {
  const types = [into(schema, "type")?.value ?? schema.value.type].flat();
  if (types.includes("integer") || types.includes("number")) {
    return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
  }
  if (types.includes("boolean") && (text === "true" || text === "false")) {
    return text === "true";
  }
  return text;
}

function headerErrors(response, headers) {
  const errors = [];
  for (const name of Object.keys(response.value.headers ?? {})) {
    const header = response.pointer.length ? into(response, "headers", name) : { value: response.value.headers[name] };
    const text = headers[name.toLowerCase()];
    if (header === undefined) {
      errors.push(`the description of header ${name} does not resolve`);
    } else if (text === undefined) {
      if (header.value.required) {
        errors.push(`header ${name} is missing`);
      }
    } else if (header.value.schema !== undefined) {
      const schema = into(header, "schema");
      for (const error of schemaErrors(schema, headerValue(schema, text))) {
        errors.push(`header ${name}: ${JSON.stringify(text)} ${error}`);
      }
    }
  }
  return errors;
}

// Each event of a stream by the schema of its kind.
const eventSchemas = { master: ["components", "schemas", "Master"], sentinel: ["components", "schemas", "SentinelEvent"] };
function streamErrors(body) {
  const errors = [];
  for (const block of body.split("\n\n")) {
    const fields = Object.fromEntries(
      block
        .split("\n")
        .filter((line) => line !== "" && !line.startsWith(":"))
        .map((line) => [line.split(": ", 1)[0], line.slice(line.indexOf(": ") + 2)]),
    );
    if (fields.data === undefined) {
      continue;
    }
    if (!/^[0-9a-f]{16}-[0-9]+$/.test(fields.id ?? "")) {
      errors.push(`event id ${fields.id}`);
    }
    const schema = eventSchemas[fields.event];
    if (schema === undefined) {
      errors.push(`event ${fields.event} is not described`);
      continue;
    }
    errors.push(...schemaErrors(at(schema), JSON.parse(fields.data)).map((error) => `event ${fields.event}: ${error}`));
  }
  return errors;
}

// What is published to channels: an event is one line, which begins with what it is.
const channelErrors = (body) =>
  body
    .split("\n")
    .filter((line) => line !== "" && !/^(:|retry: \d+$|data: (p?subscribe,.*,\d+$|message,.*,|pmessage,.*,.*,))/.test(line))
    .map((line) => `line ${line}`);

const essence = (type) => type.split(";")[0].trim().toLowerCase();

function bodyErrors(method, status, response, headers, body) {
  const described = Object.keys(response.value.content ?? {});
  const type = headers["content-type"];
  const bodiless = method === "HEAD" || status === 204 || status === 304;
  if (bodiless && body !== "") {
    return [`${method} with status ${status} has a body of ${body.length} characters`];
  }
  if (described.length === 0) {
    return body === "" ? [] : [`a body of type ${type} where none is described`];
  }
  if (bodiless && type === undefined) {
    return [];
  }
  if (type === undefined) {
    return ["Content-Type is missing"];
  }
  const key = described.find((candidate) => essence(candidate) === essence(type));
  if (key === undefined) {
    return [`Content-Type ${type} is not one of ${described.join(", ")}`];
  }
  if (bodiless) {
    return [];
  }
  if (essence(type) === "text/event-stream") {
    return response.pointer.at(-1) === "Subscription" ? channelErrors(body) : streamErrors(body);
  }
  if (body === "") {
    return ["the body is empty"];
  }
  if (essence(type) !== "application/json" && !essence(type).endsWith("+json")) {
    return [];
  }
  const errors = [];
  let data;
  try {
    data = JSON.parse(body);
  } catch (error) {
    return [`the body is not JSON: ${error.message}`];
  }
  if (!body.endsWith("\n")) {
    errors.push("the JSON body does not end with a newline");
  }
  const schema = into(response, "content", key, "schema");
  if (schema === undefined) {
    errors.push(`no schema is described for ${key}`);
  } else {
    errors.push(...schemaErrors(schema, data).map((error) => `body: ${error}`));
  }
  if (essence(type) === "application/problem+json" && data.status !== status) {
    errors.push(`body: status ${data.status} in an answer of status ${status}`);
  }
  return errors;
}

function exchangeErrors({ method, path, status, headers = {}, body = "" }) {
  const response = findResponse(method, path, status);
  if (typeof response === "string") {
    return [response];
  }
  return [...headerErrors(response, headers), ...bodyErrors(method, status, response, headers, body)];
}

let valid = 0;
let skipped = 0;
let violations = 0;
const lines = readFileSync(exchangesFile, "utf8").split("\n");
lines.forEach((line, index) => {
  if (line === "") {
    return;
  }
  let exchange;
  try {
    exchange = JSON.parse(line);
  } catch (error) {
    console.log(`${exchangesFile}:${index + 1}: ${error.message}`);
    violations += 1;
    return;
  }
  if (exchange.skip) {
    skipped += 1;
    return;
  }
  const errors = exchangeErrors(exchange);
  for (const error of errors) {
    console.log(`${exchange.test}: ${exchange.method} ${exchange.path} ${exchange.status}: ${error}`);
  }
  violations += errors.length;
  valid += errors.length === 0 ? 1 : 0;
});
if (violations > 0) {
  console.log(`${violations} violations of ${openapiFile}, ${valid} exchanges valid`);
  process.exit(1);
}
console.log(`${valid} exchanges valid${skipped ? `, ${skipped} skipped` : ""}`);
