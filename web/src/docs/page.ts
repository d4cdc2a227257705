/** The API page: draws /openapi.json, operations first, then the objects they speak of. Loads nothing else. English, as the API is. */
import { LitElement, html, nothing, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";
import { logo } from "../shared/ui/icons.js";
import { shared } from "../shared/ui/styles.js";
import { isObject, operationsOf, refName, rowsOf, schemasOf, typeName, type Answer, type Json, type JsonObject, type Operation } from "./openapi.js";
import { docsStyles } from "./styles.js";

const CREDENTIALS: Readonly<Record<string, string>> = { apiKey: "API key", pageToken: "page token" };

@customElement("tessera-docs")
export class DocsPage extends LitElement {
  static override styles = [...shared, docsStyles];

  @state() private document: JsonObject | null = null;
  @state() private failed = false;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.load();
  }

  override render(): TemplateResult {
    if (this.failed) {
      return html`<main><h1>The API description did not load</h1><p>Check that the gateway runs, then reload this page.</p></main>`;
    }
    if (this.document === null) return html`<main class="row" role="status"><span class="spinner"></span>Loading…</main>`;
    const operations = operationsOf(this.document);
    const tags = [...new Set(operations.map((operation) => operation.tag))];
    const schemas = schemasOf(this.document);
    const info = isObject(this.document["info"]) ? this.document["info"] : {};
    return html`
      <nav aria-label="Contents">
        <a class="brand" href="#top" @click=${this.onLink}>${logo(32)}<span>${word(info["title"])}</span></a>
        ${tags.map((tag) => html`<h2>${tag}</h2><ul>${operations.filter((operation) => operation.tag === tag).map((operation) => this.entry(operation))}</ul>`)}
        <h2>Objects</h2>
        <ul>
          ${Object.keys(schemas).map((name) => html`<li><a href="#schema-${name}" @click=${this.onLink}>${name}</a></li>`)}
        </ul>
      </nav>
      <main id="top" tabindex="-1">
        <h1>${word(info["title"])} <span class="badge">${word(info["version"])}</span></h1>
        <p>${word(info["description"])} <a href="/openapi.json">openapi.json</a></p>
        ${tags.map((tag) => html`<h2>${tag}</h2>${operations.filter((operation) => operation.tag === tag).map((operation) => this.operation(operation))}`)}
        <h2>Objects</h2>
        ${Object.entries(schemas).map(([name, schema]) => this.schema(name, schema))}
      </main>
    `;
  }

  private entry({ id, method, path }: Operation): TemplateResult {
    return html`<li><a href="#${id}" @click=${this.onLink}><span class="method">${method}</span> <span class="path">${short(path)}</span></a></li>`;
  }

  private operation(operation: Operation): TemplateResult {
    const { id, method, path, summary, description, parameters, body, answers } = operation;
    const credentials = operation.credentials.map((scheme) => CREDENTIALS[scheme] ?? scheme);
    return html`<article class="card stack" id=${id} tabindex="-1">
      <h3><span class="badge method">${method}</span> <span class="code">${path}</span></h3>
      <p>${summary}</p>
      ${description === "" ? nothing : html`<p class="soft">${ticks(description)}</p>`}
      <p class="small soft">Credentials: ${credentials.length === 0 ? "none" : credentials.join(" or ")}</p>
      ${parameters.length === 0
        ? nothing
        : this.table("Parameters", ["Name", "Type", "Note"], parameters.map((item) => [html`<span class="code">${item.name}</span> <span class="soft small">${item.place}${item.required ? "" : ", optional"}</span>`, item.type, item.note]))}
      ${body === null ? nothing : html`<div><h4>Body</h4>${this.shape(body)}</div>`}
      <div><h4>Answers</h4>${answers.map((answer) => this.answer(answer))}</div>
    </article>`;
  }

  private answer({ status, text, schema }: Answer): TemplateResult {
    const good = status.startsWith("2");
    return html`<p class="answer"><span class="badge ${good ? "ok" : ""}">${status}</span> <span>${text} ${schema === null ? nothing : this.shape(schema)}</span></p>`;
  }

  private shape(schema: JsonObject): TemplateResult {
    const name = refName(schema);
    return name === null ? html`<span class="code">${typeName(schema)}</span>` : html`<a class="code" href="#schema-${name}" @click=${this.onLink}>${name}</a>`;
  }

  private schema(name: string, schema: JsonObject): TemplateResult {
    const rows = rowsOf(schema).map((row) => [
      html`<span class="code">${row.name}</span> ${row.required ? nothing : html`<span class="soft small">optional</span>`}`,
      row.ref === null ? row.type : html`<a href="#schema-${row.ref}" @click=${this.onLink}>${row.type}</a>`,
      row.note,
    ]);
    return html`<article class="card stack" id="schema-${name}" tabindex="-1">
      <h3 class="code">${name}</h3>
      ${typeof schema["description"] === "string" ? html`<p>${ticks(schema["description"])}</p>` : nothing}
      ${rows.length === 0 ? html`<p class="code">${typeName(schema)}</p>` : this.table(`Members of ${name}`, ["Name", "Type", "Note"], rows)}
    </article>`;
  }

  private table(caption: string, heads: readonly string[], rows: readonly (readonly (TemplateResult | string)[])[]): TemplateResult {
    return html`<div class="scroll" role="region" tabindex="0" aria-label=${caption}>
      <table>
        <caption class="sr">${caption}</caption>
        <thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
        <tbody>${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody>
      </table>
    </div>`;
  }

  private async load(): Promise<void> {
    try {
      const response = await fetch("/openapi.json");
      const document = (await response.json()) as Json;
      if (!response.ok || !isObject(document)) throw new TypeError("not an OpenAPI document");
      this.document = document;
      await this.updateComplete;
      this.reveal(location.hash);
    } catch {
      this.failed = true;
    }
  }

  // Anchors do not reach into a shadow root by themselves.
  private readonly onLink = (event: Event): void => {
    const hash = (event.currentTarget as HTMLAnchorElement).hash;
    event.preventDefault();
    history.replaceState(null, "", hash);
    this.reveal(hash);
  };

  private reveal(hash: string): void {
    const target = hash.length > 1 ? this.renderRoot.querySelector<HTMLElement>(`#${CSS.escape(hash.slice(1))}`) : null;
    target?.scrollIntoView();
    target?.focus({ preventScroll: true });
  }
}

function word(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

function short(path: string): string {
  return path.replace(/^\/api\/v1/, "");
}

/** Draws `code` between backticks. */
function ticks(text: string): (TemplateResult | string)[] {
  return text.split("`").map((part, at) => (at % 2 === 1 ? html`<span class="code">${part}</span>` : part));
}
