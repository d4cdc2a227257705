/** A real gateway process on loopback, in a folder of its own, and its bank's back end. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PYTHON = join(ROOT, ".venv/bin/python");

/** Why a real gateway cannot run here, or null. */
export const missing = existsSync(PYTHON) ? null : "the gateway is not installed in .venv";

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
  });
}

export class RealGateway {
  readonly host: string;
  readonly origin: string;
  readonly #folder = mkdtempSync(join(tmpdir(), "tessera-phone-"));
  readonly #environment: NodeJS.ProcessEnv;
  readonly #key: string;
  #process: ChildProcess | null = null;

  private constructor(port: number) {
    this.host = `127.0.0.1:${port}`;
    this.origin = `http://${this.host}`;
    this.#environment = {
      ...process.env,
      TESSERA_DATA: this.#folder,
      TESSERA_LISTEN_PORT: String(port),
      TESSERA_PUBLIC_HOST: this.host,
      TESSERA_LOG_LEVEL: "warning",
    };
    const tenant = /ten_\S+/.exec(this.#run("tenant", "create", "Real Bank"))![0];
    const made = this.#run("api-key", "create", "--tenant", tenant, "--name", "test", "--scope", "*");
    this.#key = /tsk_\S+/.exec(made)![0];
  }

  static async start(): Promise<RealGateway> {
    const gateway = new RealGateway(await freePort());
    await gateway.serve();
    return gateway;
  }

  async serve(): Promise<void> {
    this.#process = spawn(PYTHON, ["-m", "gateway", "serve"], { cwd: ROOT, env: this.#environment, stdio: "ignore" });
    for (let tries = 0; tries < 300; tries += 1) {
      const answer = await fetch(`${this.origin}/phone/v1/config`).catch(() => null);
      if (answer?.ok === true) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error("the gateway does not serve");
  }

  /** Ends the process as a crash would. */
  async kill(): Promise<void> {
    const ended = new Promise((resolve) => this.#process?.once("exit", resolve));
    this.#process?.kill("SIGKILL");
    await ended;
    this.#process = null;
  }

  async stop(): Promise<void> {
    if (this.#process !== null) await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** One request of the bank's back end. */
  async api(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
    const headers = { Authorization: `Bearer ${this.#key}`, "Content-Type": "application/json" };
    const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    const response = await fetch(`${this.origin}/api/v1${path}`, init);
    const text = await response.text();
    if (!response.ok) throw new Error(`${response.status} ${text}`);
    return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
  }

  #run(...command: string[]): string {
    const stdio: ("ignore" | "pipe")[] = ["ignore", "pipe", "ignore"];
    return execFileSync(PYTHON, ["-m", "gateway", ...command], { cwd: ROOT, env: this.#environment, encoding: "utf8", stdio });
  }
}
