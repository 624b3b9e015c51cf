// Compiled, never run: proves that the generated types narrow. A new event, state or method that is not handled here
// must fail to compile (tests/repo/test_typescript.py takes a case away and expects that).
import type {
  ErrorBody,
  ErrorCode,
  EventParams,
  LspNotifications,
  LspRequests,
  Methods,
  Run,
  RunEvent,
  RunState,
  SandboxState,
} from "./index.js";

function unreachable(value: never): never {
  throw new Error(`not handled: ${JSON.stringify(value)}`);
}

export function describeEvent(event: RunEvent): string {
  switch (event.type) {
    case "started":
      return `${event.run_id} started`;
    case "output":
      return `${event.stream}: ${event.text ?? event.base64 ?? ""}`;
    case "notice":
      return `${event.code}: ${event.message}`;
    case "gap":
      return `events from ${event.first_missing} to ${event.seq} are gone`;
    case "exited":
      return `exit code ${event.exit_code} after ${event.duration_ms} ms, ${event.usage.user_ms} ms of CPU`;
    case "failed":
      return `${event.message} ${event.hint}`;
    default:
      return unreachable(event);
  }
}

export function isOver(state: RunState): boolean {
  switch (state) {
    case "starting":
    case "running":
      return false;
    case "exited":
    case "failed":
    case "lost":
      return true;
    default:
      return unreachable(state);
  }
}

export function icon(state: SandboxState): string {
  switch (state) {
    case "creating":
      return "sync";
    case "running":
      return "vm-running";
    case "standby":
      return "debug-pause";
    case "stopped":
      return "vm-outline";
    case "failed":
      return "error";
    case "removed":
      return "trash";
    default:
      return unreachable(state);
  }
}

/** How a client of the engine looks: parameters and result follow from the method's name. */
export interface Engine {
  call<Name extends keyof Methods>(method: Name, params: Methods[Name]["params"]): Promise<Methods[Name]["result"]>;
}

/** The same for a language client. */
export interface Sidecar {
  sendRequest<Name extends keyof LspRequests>(
    method: Name,
    params: LspRequests[Name]["params"],
  ): Promise<LspRequests[Name]["result"]>;
  onNotification<Name extends keyof LspNotifications>(
    method: Name,
    handler: (params: LspNotifications[Name]) => void,
  ): void;
}

export async function example(engine: Engine, sidecar: Sidecar): Promise<Run> {
  const run = await engine.call("run.start", { workspace: { path: "/w" }, argv: ["true"] });
  const code: number | null | undefined = run.exit_code;
  sidecar.onNotification("continueExec/event", (params: EventParams) => {
    describeEvent(params.event);
  });
  const accepted = await sidecar.sendRequest("continueExec/run", { argv: ["true"], timeoutS: code ?? null });
  await sidecar.sendRequest("continueExec/attach", { runId: accepted.runId, after: run.last_seq });
  // @ts-expect-error a method that does not exist
  await engine.call("run.nothing", {});
  // @ts-expect-error parameters that lack what is required
  await engine.call("run.cancel", {});
  // @ts-expect-error the sidecar's own parameters are camelCase
  await sidecar.sendRequest("continueExec/cancel", { run_id: run.id });
  return run;
}

export function hint(error: ErrorBody): string {
  const code: ErrorCode = error.code;
  // @ts-expect-error a code that is not in the tree
  const wrong: ErrorCode = "no_such_code";
  return `${code} ${wrong} ${error.hint}`;
}
