//! One librdkafka handle: made from a configuration, with its log in `tracing` and its errors in [`Health`].
//!
//! The Rust wrapper's consumer and producer take one message at a time; the batch calls, which cost half, want the
//! native handle, so this is a handle of our own and nothing more. Rules that all native calls here keep:
//! a [`Client`] outlives everything taken from it (queues, topics, messages); the library may be called from any
//! thread; callbacks get a pointer to [`Shared`], which is dropped only after the handle.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka_sys as native;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::errors::{Failure, classify, code_name};
use super::health::Health;
use super::request::forget_error;
use super::settings::Settings;
use crate::error::{Exit, RunError};

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads records; its queue is [`Queue::consumer`].
    Reader,
    /// Writes records; delivery reports are events of [`Queue::main`].
    Writer,
    /// Asks, or publishes progress.
    Other,
}

/// A native client handle, shared by what uses it.
pub struct Client {
    handle: NonNull<native::rd_kafka_t>,
    shared: Box<Shared>,
}

// SAFETY: librdkafka's handle is documented as safe to use from any thread; `Shared` is Sync.
unsafe impl Send for Client {}
unsafe impl Sync for Client {}

/// What callbacks reach.
struct Shared {
    health: Health,
    secrets: Arc<[String]>,
    brokers: String,
    /// How often credentials were refused.
    refused: AtomicU32,
}

impl Client {
    pub fn new(settings: &Settings, config: &ClientConfig, role: Role, health: &Health) -> Result<Arc<Self>, RunError> {
        let shared = Box::new(Shared {
            health: health.clone(),
            secrets: settings.secrets(),
            brokers: settings.brokers.clone(),
            refused: AtomicU32::new(0),
        });
        let conf = config.create_native_config().map_err(|error| refused_config(&shared, &error))?;
        let tokens = settings.option("sasl.mechanisms").is_some_and(|m| m.eq_ignore_ascii_case("OAUTHBEARER"));
        let mut reason = [0u8; 512];
        // SAFETY: `conf` is valid; `shared` lives in a box whose address does not change and that is dropped after
        // the handle. On success `rd_kafka_new` takes the configuration over, hence the `forget`.
        let handle = unsafe {
            prepare(conf.ptr(), &shared, role, tokens);
            native::rd_kafka_new(role.kind(), conf.ptr(), reason.as_mut_ptr().cast(), reason.len())
        };
        let Some(handle) = NonNull::new(handle) else {
            let reason = CStr::from_bytes_until_nul(&reason).map(CStr::to_string_lossy).unwrap_or_default();
            let reason = shared.hide(&reason);
            return Err(RunError::new(Exit::Usage, format!("the Kafka client refuses its settings: {reason}")));
        };
        std::mem::forget(conf);
        let client = Self { handle, shared };
        // SAFETY: the handle is valid. Tokens are renewed by the library's own thread, so that no one has to poll for
        // it; a reader's errors come by the queue of its records.
        unsafe {
            if tokens {
                forget_error(native::rd_kafka_sasl_background_callbacks_enable(client.ptr()));
            }
            if role == Role::Reader {
                native::rd_kafka_poll_set_consumer(client.ptr());
            }
        }
        Ok(Arc::new(client))
    }

    pub fn ptr(&self) -> *mut native::rd_kafka_t {
        self.handle.as_ptr()
    }

    pub fn health(&self) -> &Health {
        &self.shared.health
    }

    pub fn brokers(&self) -> &str {
        &self.shared.brokers
    }

    /// How often a broker has refused our credentials.
    pub(super) fn refused(&self) -> u32 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// The reason of a fatal error, after which nothing works any more.
    pub fn fatal(&self) -> Option<(Code, String)> {
        let mut reason = [0u8; 512];
        // SAFETY: the handle is valid and the buffer's length is given.
        let code =
            unsafe { native::rd_kafka_fatal_error(self.ptr(), reason.as_mut_ptr().cast::<c_char>(), reason.len()) };
        let text = || CStr::from_bytes_until_nul(&reason).map(CStr::to_string_lossy).unwrap_or_default().into_owned();
        (code != Code::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| (code, text()))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: the last user of the handle; queues and topics hold the `Arc`, so none is left.
        unsafe { native::rd_kafka_destroy(self.ptr()) }
    }
}

/// A queue of a client, on which it reports.
pub struct Queue {
    queue: NonNull<native::rd_kafka_queue_t>,
    wake: Option<Box<Wake>>,
    /// Dropped after the queue.
    client: Arc<Client>,
}

type Wake = Box<dyn Fn() + Send + Sync>;

// SAFETY: librdkafka's queues are guarded by their own locks, and the callback is Send and Sync.
unsafe impl Send for Queue {}
unsafe impl Sync for Queue {}

impl Queue {
    /// Records, errors and ends of partitions of a [`Role::Reader`].
    pub fn consumer(client: &Arc<Client>) -> Option<Self> {
        // SAFETY: the handle is valid; null for a client that is no consumer.
        let queue = NonNull::new(unsafe { native::rd_kafka_queue_get_consumer(client.ptr()) })?;
        Some(Self { queue, wake: None, client: client.clone() })
    }

    /// Delivery reports of a [`Role::Writer`]; errors of all but readers.
    pub fn main(client: &Arc<Client>) -> Option<Self> {
        // SAFETY: the handle is valid.
        let queue = NonNull::new(unsafe { native::rd_kafka_queue_get_main(client.ptr()) })?;
        Some(Self { queue, wake: None, client: client.clone() })
    }

    /// An empty queue for answers.
    pub(super) fn new(client: &Arc<Client>) -> Option<Self> {
        // SAFETY: the handle is valid.
        let queue = NonNull::new(unsafe { native::rd_kafka_queue_new(client.ptr()) })?;
        Some(Self { queue, wake: None, client: client.clone() })
    }

    pub fn ptr(&self) -> *mut native::rd_kafka_queue_t {
        self.queue.as_ptr()
    }

    /// Calls `wake` whenever the queue becomes non-empty, from a thread of the library: it must be short and must not
    /// call the client.
    pub fn on_data(&mut self, wake: impl Fn() + Send + Sync + 'static) {
        let wake: Box<Wake> = Box::new(Box::new(wake));
        // SAFETY: the box's address is stable and it is kept until the callback was replaced or taken away. The
        // library calls it, and replaces it, under the queue's lock.
        unsafe {
            native::rd_kafka_queue_cb_event_enable(self.ptr(), Some(on_event), (&raw const *wake).cast_mut().cast());
        }
        self.wake = Some(wake);
    }

    /// Serves what is waiting, without blocking: errors reach [`Health`]. Events that callers know are theirs to take
    /// with `rd_kafka_queue_poll`.
    pub(super) fn serve(&self) {
        // SAFETY: the queue is valid; each event is destroyed once.
        unsafe {
            loop {
                let event = native::rd_kafka_queue_poll(self.ptr(), 0);
                if event.is_null() {
                    return;
                }
                self.client.shared.event(event);
                native::rd_kafka_event_destroy(event);
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: valid until here; after the first call no callback runs, so that `wake` may be dropped.
        unsafe {
            native::rd_kafka_queue_cb_event_enable(self.ptr(), None, std::ptr::null_mut());
            native::rd_kafka_queue_destroy(self.ptr());
        }
    }
}

impl Shared {
    /// # Safety
    /// `event` is a valid event.
    unsafe fn event(&self, event: *mut native::rd_kafka_event_t) {
        // SAFETY: as promised by the caller; the string lives as long as the event.
        unsafe {
            if native::rd_kafka_event_type(event) == native::RD_KAFKA_EVENT_ERROR {
                let reason = CStr::from_ptr(native::rd_kafka_event_error_string(event)).to_string_lossy();
                self.error(native::rd_kafka_event_error(event), &reason);
            }
        }
    }

    fn error(&self, code: Code, reason: &str) {
        let exit = match classify(code) {
            Failure::Stop(exit) => exit,
            _ => Exit::TryAgain,
        };
        if exit == Exit::NotAllowed {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        // What all brokers being down is due to was said before, and says more.
        if code != Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || self.health.current().is_none() {
            self.health.trouble(exit, format!("{} ({})", self.hide(reason), code_name(code)));
        }
    }

    fn hide(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "(hidden)"))
    }
}

/// # Safety
/// `conf` is a valid configuration, and `shared` outlives the handle that is made of it.
unsafe fn prepare(conf: *mut native::rd_kafka_conf_t, shared: &Shared, role: Role, tokens: bool) {
    // SAFETY: as promised by the caller.
    unsafe {
        native::rd_kafka_conf_set_opaque(conf, (&raw const *shared).cast_mut().cast());
        native::rd_kafka_conf_set_log_cb(conf, Some(on_log));
        native::rd_kafka_conf_set_error_cb(conf, Some(on_error));
        if role == Role::Writer {
            native::rd_kafka_conf_set_events(conf, native::RD_KAFKA_EVENT_DR);
        }
        if tokens {
            native::rd_kafka_conf_enable_sasl_queue(conf, 1);
        }
    }
}

impl Role {
    fn kind(self) -> native::rd_kafka_type_t {
        match self {
            Role::Reader => native::rd_kafka_type_t::RD_KAFKA_CONSUMER,
            Role::Writer | Role::Other => native::rd_kafka_type_t::RD_KAFKA_PRODUCER,
        }
    }
}

fn refused_config(shared: &Shared, error: &KafkaError) -> RunError {
    // The wrapper's own message shows the value.
    let message = match error {
        KafkaError::ClientConfig(_, reason, key, _) => {
            format!("the Kafka client refuses `{key}`: {}", shared.hide(reason))
        }
        other => format!("the Kafka client refuses its settings: {}", shared.hide(&other.to_string())),
    };
    RunError::new(Exit::Usage, message)
}

unsafe extern "C" fn on_event(_: *mut native::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: `opaque` is the box that `on_data` keeps.
    unsafe { (*opaque.cast::<Wake>())() }
}

unsafe extern "C" fn on_error(_: *mut native::rd_kafka_t, code: c_int, reason: *const c_char, opaque: *mut c_void) {
    // SAFETY: `opaque` is `Shared`, which outlives the handle; the reason is a string. The code comes from the
    // library's own enumeration, of which the bindings' is a copy.
    unsafe {
        let code = std::mem::transmute::<c_int, Code>(code);
        let reason =
            if reason.is_null() { String::new() } else { CStr::from_ptr(reason).to_string_lossy().into_owned() };
        (*opaque.cast::<Shared>()).error(code, &reason);
    }
}

unsafe extern "C" fn on_log(
    handle: *const native::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    text: *const c_char,
) {
    // SAFETY: the strings are valid for the call; the opaque pointer is `Shared` from before the handle was made.
    let (facility, text) = unsafe {
        let text = CStr::from_ptr(text).to_string_lossy();
        let shared = native::rd_kafka_opaque(handle).cast::<Shared>();
        let text = if shared.is_null() { text.into_owned() } else { (*shared).hide(&text) };
        (CStr::from_ptr(facility).to_string_lossy(), text)
    };
    // Settings are given to every client, also to those that have no use for them.
    let level = if facility == "CONFWARN" { 7 } else { level };
    match level {
        0..=2 => tracing::error!(target: "librdkafka", "{facility}: {text}"),
        // A broker that went away is the job's to report; the client tries again by itself.
        3..=4 => tracing::warn!(target: "librdkafka", "{facility}: {text}"),
        5 => tracing::info!(target: "librdkafka", "{facility}: {text}"),
        _ => tracing::debug!(target: "librdkafka", "{facility}: {text}"),
    }
}

/// A name for the library. A name with a null byte in it exists nowhere.
pub(super) fn c_name(name: &str) -> Result<CString, RunError> {
    CString::new(name).map_err(|_| {
        RunError::new(Exit::Unavailable, format!("no topic or group can be named {name:?}: it has a null byte"))
    })
}
