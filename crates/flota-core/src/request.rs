//! Requests of clients, and the packs that they are cut into.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ClientName, Metadata, ModelName, Priority, RequestId, TaskId, TaskSource, WorkerName,
    limits::MAX_PACK_TASKS,
};

/// The images and models that a client submitted. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// Who submitted it.
    pub client: ClientName,
    /// The images, in the order of the client.
    pub images: Vec<ImageRef>,
    /// The models, each with the worker that served it when the request was accepted.
    pub routes: Vec<Route>,
    /// The receiver of the callback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<CallbackTarget>,
    /// The urgency of the request.
    #[serde(rename = "lane")]
    pub priority: Priority,
    /// The client's own data, which Flota returns unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// An image of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    /// The URL of the image: `flota://sha256/…`, `https://…` or `s3://…`.
    pub url: String,
    /// The client's id for the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A model, and the worker whose queue gets its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The model.
    pub model: ModelName,
    /// The worker that serves it.
    pub worker: WorkerName,
}

/// The receiver of a request's callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackTarget {
    /// The URL that callbacks are posted to.
    pub url: String,
    /// The events that the receiver gets.
    pub events: Vec<CallbackEvent>,
}

/// An event that a callback reports.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
pub enum CallbackEvent {
    /// Every task of the round has its outcome.
    #[serde(rename = "request.finished")]
    #[strum(serialize = "request.finished")]
    RequestFinished,
}

/// A task: one image for one model.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// Its id.
    pub id: TaskId,
    /// The image.
    pub image: &'a ImageRef,
    /// The model and its worker.
    pub route: &'a Route,
}

/// Up to [`MAX_PACK_TASKS`] tasks of one request and one worker. Tasks of one image are adjacent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// Its index among the packs of the request.
    pub index: u32,
    /// The worker that runs the tasks.
    pub worker: WorkerName,
    /// The numbers of the tasks, ascending.
    pub tasks: Vec<u32>,
}

impl Request {
    /// Number of tasks: images x models.
    pub fn task_count(&self) -> u32 {
        u32::try_from(self.images.len() * self.routes.len()).expect("a request is bounded")
    }

    /// The task numbered `n`, if there is one.
    pub fn task(&self, n: u32) -> Option<Task<'_>> {
        let (image, route) = (n as usize / self.routes.len(), n as usize % self.routes.len());
        Some(Task {
            id: TaskSource::Request(self.id).task(n),
            image: self.images.get(image)?,
            route: &self.routes[route],
        })
    }

    /// Cuts the request into packs. The result depends only on the request, so it is not stored.
    pub fn packs(&self) -> Vec<Pack> {
        let mut packs = Vec::new();
        let mut seen = BTreeSet::new();
        for worker in self.routes.iter().map(|route| &route.worker) {
            if !seen.insert(worker) {
                continue;
            }
            let tasks: Vec<u32> = (0..self.task_count())
                .filter(|n| self.routes[*n as usize % self.routes.len()].worker == *worker)
                .collect();
            for tasks in tasks.chunks(MAX_PACK_TASKS) {
                let index = u32::try_from(packs.len()).expect("a request is bounded");
                packs.push(Pack { index, worker: worker.clone(), tasks: tasks.to_vec() });
            }
        }
        packs
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn request(images: usize, workers: &[&str]) -> Request {
        let route = |(i, worker): (usize, &&str)| Route {
            model: format!("model-{i}").parse().unwrap(),
            worker: worker.parse().unwrap(),
        };
        Request {
            id: RequestId(Uuid::from_u128(1)),
            client: ClientName::default(),
            images: (0..images)
                .map(|i| ImageRef { url: format!("https://a/{i}"), id: None })
                .collect(),
            routes: workers.iter().enumerate().map(route).collect(),
            callback: None,
            priority: Priority::Normal,
            metadata: None,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn models_of_one_worker_share_a_pack() {
        let packs = request(11, &["photo", "text", "photo"]).packs();
        let sizes: Vec<_> = packs.iter().map(|p| (p.worker.as_str(), p.tasks.len())).collect();
        assert_eq!(sizes, [("photo", 20), ("photo", 2), ("text", 11)]);
        assert_eq!(packs[0].tasks[..4], [0, 2, 3, 5]);
    }

    proptest! {
        #[test]
        fn every_task_is_in_exactly_one_pack(images in 1_usize..60, workers in 1_usize..5) {
            let names = ["a", "b", "a", "c", "b"];
            let request = request(images, &names[..workers]);
            let packs = request.packs();
            let mut tasks: Vec<u32> = packs.iter().flat_map(|p| p.tasks.clone()).collect();
            tasks.sort_unstable();
            prop_assert_eq!(tasks, (0..request.task_count()).collect::<Vec<_>>());
            for (i, pack) in packs.iter().enumerate() {
                prop_assert_eq!(pack.index as usize, i);
                prop_assert!(pack.tasks.len() <= MAX_PACK_TASKS);
                for n in &pack.tasks {
                    prop_assert_eq!(&request.task(*n).unwrap().route.worker, &pack.worker);
                }
            }
        }
    }
}
