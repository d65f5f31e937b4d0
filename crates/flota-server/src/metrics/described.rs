//! All metrics of the server, with their help texts.

use flota_platform::telemetry::Metric;

pub(super) const HTTP_SECONDS: &str = "flota_http_request_seconds";
pub(super) const REQUEST_SECONDS: &str = "flota_request_seconds";
pub(super) const CALLBACK_SECONDS: &str = "flota_callback_seconds";
pub(super) const TASK_SECONDS: &str = "flota_task_seconds";
pub(super) const STAGE_SECONDS: &str = "flota_task_stage_seconds";

/// The labels of deletions by age.
const KINDS: &[&[(&str, &str)]] = &[
    &[("kind", "messages")],
    &[("kind", "requests")],
    &[("kind", "dead_letters")],
    &[("kind", "open_dead_letters")],
    &[("kind", "replays")],
    &[("kind", "predictions")],
    &[("kind", "aliases")],
    &[("kind", "images")],
];

/// Counters and histograms over the life of a server process.
pub(crate) const METRICS: &[Metric] = &[
    Metric::counter("flota_requests_accepted_total", "Requests accepted.", &[&[]]),
    Metric::counter(
        "flota_tasks_accepted_total",
        "Tasks accepted, of requests and of upload events.",
        &[&[]],
    ),
    Metric::counter("flota_images_uploaded_total", "Images uploaded to the API.", &[&[]]),
    Metric::counter(
        "flota_uploads_total",
        "Upload events, by what became of them: taken, ignored (no rule matches), repeated, or cached; foreign ones tell of no upload.",
        &[
            &[("result", "taken")],
            &[("result", "ignored")],
            &[("result", "repeated")],
            &[("result", "cached")],
            &[("result", "foreign")],
        ],
    ),
    Metric::counter(
        "flota_uploads_gone_total",
        "Uploaded objects that were gone before a worker fetched them.",
        &[&[]],
    ),
    Metric::counter("flota_outcomes_total", "Outcomes recorded, by model, outcome and code.", &[]),
    Metric::counter(
        "flota_outcomes_dropped_total",
        "Outcomes not recorded: a task has one already, its request is unknown, or its prediction was deleted.",
        &[
            &[("reason", "duplicate")],
            &[("reason", "unknown_request")],
            &[("reason", "unknown_pack")],
            &[("reason", "unknown_task")],
            &[("reason", "prediction_deleted")],
        ],
    ),
    Metric::counter("flota_rounds_finished_total", "Rounds of requests finished.", &[&[]]),
    Metric::counter(
        "flota_callbacks_total",
        "Attempts to deliver a callback, by result.",
        &[
            &[("result", "delivered")],
            &[("result", "retried")],
            &[("result", "failed")],
            &[("result", "disabled")],
            &[("result", "own_fault")],
        ],
    ),
    Metric::counter(
        "flota_callbacks_held_back_total",
        "Callbacks put off because their receiver was slow or failing.",
        &[&[]],
    ),
    Metric::counter(
        "flota_sweeper_rounds_total",
        "Overdue rounds that the sweeper looked at: finished, resent, waiting (their messages are on a queue), or \
         ended as lost.",
        &[
            &[("action", "finished")],
            &[("action", "resent")],
            &[("action", "waiting")],
            &[("action", "lost")],
        ],
    ),
    Metric::counter(
        "flota_dispatch_failures_total",
        "Messages that could not be sent to a queue in time; the sweeper sends them.",
        &[&[]],
    ),
    Metric::counter(
        "flota_tasks_rerouted_total",
        "Tasks sent on to the worker that serves their model now.",
        &[&[]],
    ),
    Metric::counter(
        "flota_messages_unreadable_total",
        "Messages that could not be read, by queue.",
        &[],
    ),
    Metric::counter(
        "flota_dlq_messages_total",
        "Messages taken from dead-letter queues, by queue and reason.",
        &[],
    ),
    Metric::counter("flota_dead_letters_replayed_total", "Dead letters replayed.", &[&[]]),
    Metric::counter(
        "flota_replays_ended_total",
        "Replays ended, by result.",
        &[&[("result", "completed")]],
    ),
    Metric::counter(
        "flota_deleted_total",
        "Records and images deleted because of their age, by kind.",
        KINDS,
    ),
    Metric::counter(
        "flota_deleted_bytes_total",
        "Bytes of the records and images that were deleted because of their age, by kind.",
        KINDS,
    ),
    Metric::counter(
        "flota_returned_bytes_total",
        "Bytes by which database files were made smaller.",
        &[&[]],
    ),
    Metric::counter(
        "flota_http_connections_refused_total",
        "Connections refused: the server has as many as it may have, or their peer has.",
        &[&[]],
    ),
    Metric::histogram(
        HTTP_SECONDS,
        "Time to answer an HTTP call, by method, route and status; a call with `wait` counts its wait.",
    ),
    Metric::histogram(
        REQUEST_SECONDS,
        "Time from accepting a request to the end of its first round.",
    ),
    Metric::histogram(
        CALLBACK_SECONDS,
        "Time from the end of a round to the delivery of its callback.",
    ),
    Metric::histogram(
        TASK_SECONDS,
        "Time from accepting a request to the outcome of its task, by model.",
    ),
    Metric::histogram(
        STAGE_SECONDS,
        "Time that a task spent in each stage (queue, fetch, decode, infer), by model.",
    ),
];

/// Gauges that are measured at each scrape.
pub(crate) const GAUGES: &[Metric] = &[
    Metric::gauge(
        "flota_queue_messages",
        "Messages in a queue, by queue and state (ready, in_flight, delayed).",
    ),
    Metric::gauge(
        "flota_workers_alive",
        "Worker processes alive that serve a model, by model and worker.",
    ),
    Metric::gauge(
        "flota_backlog_tasks",
        "Tasks without an outcome, by model and its worker: waiting, delayed and in flight; an estimate on SQS.",
    ),
    Metric::gauge(
        "flota_backlog_oldest_age_seconds",
        "Age of the oldest message that waits with tasks of a model; 0 where none waits.",
    ),
    Metric::gauge(
        "flota_backlog_arrival_per_second",
        "Tasks that arrive each second, about the last minute's mean; absent until measured twice.",
    ),
    Metric::gauge(
        "flota_backlog_service_per_second",
        "Tasks that workers end in each second in which they have some, by the last minute.",
    ),
    Metric::gauge(
        "flota_backlog_drain_seconds",
        "Seconds until the tasks that wait now are done at this rate; absent where none is done.",
    ),
    Metric::gauge("flota_dead_letters_open", "Dead letters neither replayed nor discarded."),
    Metric::gauge("flota_callbacks_pending", "Callbacks not delivered yet."),
    Metric::gauge(
        "flota_disk_free_bytes",
        "Free bytes on the disk of the data folder, where the backend is embedded.",
    ),
];
