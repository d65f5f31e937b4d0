// Compiles only where the document's types can be told apart.
import type { components, paths, webhooks } from "./api";

type Outcome = components["schemas"]["Outcome"];
type Answer = paths["/v1/requests/{id}"]["get"]["responses"][200]["content"]["application/json"];
type Told = webhooks["request.finished"]["post"]["requestBody"]["content"]["application/json"];

export function score(outcome: Outcome, label: string): number | undefined {
  switch (outcome.outcome) {
    case "succeeded": {
      const output = outcome.prediction?.output;
      if (!output || output.kind === "embedding") return undefined;
      return output.scores.find((score) => score.label === label)?.score;
    }
    case "failed":
      throw new Error(`${outcome.code}: ${outcome.message}`);
    default:
      return undefined;
  }
}

export const finished = (answer: Answer): boolean => answer.terminal;
export const order = (told: Told): string => told.data.request;
