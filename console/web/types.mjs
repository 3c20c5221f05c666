// Writes src/api/schema.ts from the API's OpenAPI document, so that the pages cannot be compiled against an API that is not there.
import { readFileSync, writeFileSync } from "node:fs";

const document = JSON.parse(readFileSync(new URL("../../httpapi/openapi.json", import.meta.url), "utf8"));

/** The TypeScript type of a schema. */
function type(schema) {
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const types = [schema.type ?? []].flat();
  if (types.length !== 1) return "unknown"; // any JSON
  switch (types[0]) {
    case "array": {
      const item = type(schema.items ?? {});
      return item.includes("|") ? `(${item})[]` : `${item}[]`;
    }
    case "object":
      return schema.additionalProperties ? `Record<string, ${type(schema.additionalProperties)}>` : "Record<string, unknown>";
    case "integer":
      return "number";
    default:
      return types[0];
  }
}

/** A comment, if there is something to say. */
const says = (text, indent) => (text ? `${indent}/** ${text.replaceAll("*/", "* /")} */\n` : "");

let out = "// Made from httpapi/openapi.json by types.mjs: do not edit.\n";
for (const [name, schema] of Object.entries(document.components.schemas)) {
  out += `\n${says(schema.description, "")}export interface ${name} {\n`;
  const required = new Set(schema.required ?? []);
  for (const [field, of] of Object.entries(schema.properties ?? {})) {
    out += `${says(of.description, "  ")}  ${field}${required.has(field) ? "" : "?"}: ${type(of)};\n`;
  }
  out += "}\n";
}
writeFileSync(new URL("src/api/schema.ts", import.meta.url), out);
