import type { HttpError, ValidationErrors } from "@refinedev/core";
import type { Problem } from "./types.ts";

/** An error as Refine reads it, with what else the API said. `statusCode` 0: no answer arrived. */
export class ApiError extends Error implements HttpError {
  [key: string]: unknown;
  readonly statusCode: number;
  /** What is wrong, by field. */
  readonly errors?: ValidationErrors;
  /** Seconds to wait before trying again. */
  readonly retryAfter?: number;
  /** Names the request, as the server's log does. */
  readonly instance?: string;

  constructor(
    statusCode: number,
    message: string,
    more: { name?: string; errors?: ValidationErrors; retryAfter?: number; instance?: string; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = more.name ?? "ApiError";
    this.statusCode = statusCode;
    if (more.errors) this.errors = more.errors;
    if (more.retryAfter !== undefined) this.retryAfter = more.retryAfter;
    if (more.instance) this.instance = more.instance;
  }
}

/** Makes an error of an RFC 9457 problem, as the API answers every error. `fallback` is the text for a problem without detail. */
export function errorOf(problem: Problem, status: number, fallback: string, retryAfter?: number): ApiError {
  return new ApiError(status, problem.detail || fallback, {
    name: problem.title,
    errors: problem.errors,
    retryAfter,
    instance: problem.instance,
  });
}

/** Reads the problem of an answer that is not ok. */
export async function errorFrom(response: Response, fallback: string): Promise<ApiError> {
  let problem: Problem = {};
  try {
    const body: unknown = await response.json();
    if (typeof body === "object" && body !== null) problem = body as Problem;
  } catch {
    // A proxy's page rather than a problem: the status has to do.
  }
  const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
  return errorOf(problem, response.status, fallback, Number.isFinite(seconds) ? seconds : undefined);
}

/**
 * For React Query: asks again, twice, what failed for a reason that may pass, and nothing else.
 * Its own default repeats even a 404 three times.
 */
export function retry(failures: number, error: unknown): boolean {
  const status = (error as Partial<HttpError> | null)?.statusCode;
  return failures < 2 && (status === 0 || status === 429 || (status !== undefined && status >= 500));
}
