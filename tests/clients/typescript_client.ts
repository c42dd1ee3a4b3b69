// The four steps of the guide, with the types that openapi-typescript generates, in api.d.ts.
import createClient from "openapi-fetch";
import type { components, paths } from "./api";

declare const process: { argv: string[] };
type Job = components["schemas"]["JobDocument"];

const client = createClient<paths>({ baseUrl: process.argv[2] });

function received<T>(answer: { data?: T; error?: components["schemas"]["ErrorBody"] }): T {
  if (answer.data === undefined) throw new Error(answer.error?.message);
  return answer.data;
}

const created: Job = received(await client.PUT("/job", { body: { script_name: "summary" } }));
const params = { path: { job_id: created._id } };
const body = { datafile: "timeseries.csv" };
const changed: Job = received(await client.POST("/job/{job_id}", { params, body }));
if (changed.script_name !== "summary") throw new Error("a change sent the defaults of other fields");

let job: Job = received(await client.POST("/job/{job_id}/run", { params }));
const end = Date.now() + 30_000;
while (job.state === "queued" || job.state === "running") {
  if (Date.now() > end) throw new Error("the job did not end");
  job = received(
    await client.GET("/job/{job_id}", { params: { ...params, query: { stringify: false } } }),
  );
}
if (job.state !== "finished") throw new Error(`${job.state}: ${job.message}`);
const result = job.result as { value: { count: number } };
if (result.value.count !== 12000) throw new Error(JSON.stringify(job.result));
