//! An API server for tests: keeps objects by path and refuses writes with an old resourceVersion.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The server. It ends with the runtime of the test.
#[derive(Clone)]
pub(crate) struct FakeApi {
    shared: Arc<Mutex<Shared>>,
    address: String,
}

#[derive(Default)]
struct Shared {
    objects: BTreeMap<String, Value>,
    version: u64,
    /// Verb and resource that an access review denies.
    denied: BTreeSet<(String, String)>,
    trouble: Trouble,
    requests: Vec<String>,
}

/// What is wrong with the server.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// It answers 500.
    Error,
    /// It does not answer.
    Silence,
    /// It does what it is asked but does not answer.
    LostAnswers,
}

impl FakeApi {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Mutex::new(Shared::default()));
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { shared, address }
    }

    pub(crate) fn client(&self) -> Client {
        // Several tests install it; the first wins.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Client::try_from(Config::new(self.address.parse().unwrap())).unwrap()
    }

    pub(crate) fn set_trouble(&self, trouble: Trouble) {
        self.shared.lock().unwrap().trouble = trouble;
    }

    pub(crate) fn deny(&self, verb: &str, resource: &str) {
        let denied = (verb.to_owned(), resource.to_owned());
        self.shared.lock().unwrap().denied.insert(denied);
    }

    pub(crate) fn allow_all(&self) {
        self.shared.lock().unwrap().denied.clear();
    }

    /// Returns the object at a path, or `null`.
    pub(crate) fn get(&self, path: &str) -> Value {
        let shared = self.shared.lock().unwrap();
        shared.objects.get(path).cloned().unwrap_or_default()
    }

    /// Puts an object at a path, or a list at the path of a collection.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.shared.lock().unwrap().store(path, object);
    }

    /// Returns all objects below a path.
    pub(crate) fn below(&self, path: &str) -> Vec<Value> {
        let shared = self.shared.lock().unwrap();
        let found = shared.objects.iter();
        found
            .filter(|(name, _)| name.starts_with(path))
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// Returns the requests so far, as `METHOD PATH`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.lock().unwrap().requests.clone()
    }
}

async fn answer(
    State(shared): State<Arc<Mutex<Shared>>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let (trouble, response) = {
        let mut shared = shared.lock().unwrap();
        shared.requests.push(format!("{method} {path}"));
        let response = match shared.trouble {
            Trouble::Error => failure(500, "InternalError"),
            Trouble::Silence => failure(500, "InternalError"),
            Trouble::None | Trouble::LostAnswers => shared.serve(&method, &path, &body),
        };
        (shared.trouble, response)
    };
    if matches!(trouble, Trouble::Silence | Trouble::LostAnswers) {
        std::future::pending::<()>().await;
    }
    let (code, value) = response;
    let headers = [("content-type", "application/json")];
    (code, headers, value.to_string()).into_response()
}

impl Shared {
    fn serve(&mut self, method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
        let object: Value = serde_json::from_slice(body).unwrap_or_default();
        if path.ends_with("/selfsubjectaccessreviews") {
            return (StatusCode::CREATED, self.review(object));
        }
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        let old = self.objects.get(path).cloned();
        match (method, old) {
            (&Method::GET, Some(object)) => (StatusCode::OK, object),
            (&Method::POST, _) => {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let path = format!("{path}/{name}");
                if self.objects.contains_key(&path) {
                    return failure(409, "AlreadyExists");
                }
                (StatusCode::CREATED, self.store(&path, object))
            }
            (&Method::PUT, Some(old)) if version(&old) == version(&object) => {
                (StatusCode::OK, self.store(path, object))
            }
            (&Method::PUT, Some(_)) => failure(409, "Conflict"),
            (&Method::PATCH, Some(mut old)) => {
                merge(&mut old, &object);
                (StatusCode::OK, self.store(path, old))
            }
            _ => failure(404, "NotFound"),
        }
    }

    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    fn review(&self, mut object: Value) -> Value {
        let asked = &object["spec"]["resourceAttributes"];
        let word = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
        let resource = match word("subresource").as_str() {
            "" => word("resource"),
            below => format!("{}/{below}", word("resource")),
        };
        let allowed = !self.denied.contains(&(word("verb"), resource));
        object["status"] = json!({ "allowed": allowed });
        object
    }
}

fn merge(old: &mut Value, new: &Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                merge(old.entry(key).or_insert(Value::Null), value);
            }
        }
        (old, new) => *old = new.clone(),
    }
}

fn failure(code: u16, reason: &str) -> (StatusCode, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "reason": reason, "message": reason, "code": code,
    });
    (StatusCode::from_u16(code).unwrap(), status)
}
