//! The library's list of partitions with offsets, owned.

use std::ffi::CStr;
use std::ptr::NonNull;

use rdkafka_sys as native;

use super::client::c_name;
use crate::error::RunError;

/// Topic, partition, offset, and what else the library keeps with them.
pub struct PartitionList(NonNull<native::rd_kafka_topic_partition_list_t>);

// SAFETY: plain memory with one owner.
unsafe impl Send for PartitionList {}

impl PartitionList {
    pub fn new() -> Self {
        // SAFETY: allocates, and aborts the process when there is no memory.
        let list = unsafe { native::rd_kafka_topic_partition_list_new(8) };
        Self(NonNull::new(list).expect("librdkafka ends the process when memory is short"))
    }

    /// Adds a partition at an offset, or at one of the library's names for offsets (`RD_KAFKA_OFFSET_BEGINNING` …).
    pub fn add(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), RunError> {
        let topic = c_name(topic)?;
        // SAFETY: the list is valid, the name is copied, the entry lives as long as the list is not grown.
        unsafe {
            let entry = native::rd_kafka_topic_partition_list_add(self.ptr(), topic.as_ptr(), partition);
            (*entry).offset = offset;
        }
        Ok(())
    }

    /// The same, with bytes that the broker keeps beside a committed offset.
    pub(super) fn add_marked(&mut self, topic: &str, partition: i32, offset: i64, mark: &str) -> Result<(), RunError> {
        self.add(topic, partition, offset)?;
        // SAFETY: the entry just added is the last. Its metadata is freed with the list, by the C allocator: so it is
        // a copy made by that allocator.
        unsafe {
            let entry = (*self.ptr()).elems.add((*self.ptr()).cnt as usize - 1);
            let copy = libc::malloc(mark.len().max(1));
            if !copy.is_null() {
                std::ptr::copy_nonoverlapping(mark.as_ptr(), copy.cast::<u8>(), mark.len());
                (*entry).metadata = copy.cast();
                (*entry).metadata_size = mark.len();
            }
        }
        Ok(())
    }

    pub fn ptr(&self) -> *mut native::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }

    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    pub(super) fn entries(&self) -> &[native::rd_kafka_topic_partition_t] {
        // SAFETY: the list is valid while `self` is.
        unsafe { entries(self.ptr()) }
    }
}

impl Default for PartitionList {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: the only owner.
        unsafe { native::rd_kafka_topic_partition_list_destroy(self.ptr()) }
    }
}

/// The entries of a native list.
///
/// # Safety
/// `list` is valid for `'a`.
pub(super) unsafe fn entries<'a>(
    list: *const native::rd_kafka_topic_partition_list_t,
) -> &'a [native::rd_kafka_topic_partition_t] {
    // SAFETY: `elems` holds `cnt` entries; an empty list may have no array.
    unsafe {
        if list.is_null() || (*list).cnt == 0 {
            return &[];
        }
        std::slice::from_raw_parts((*list).elems, (*list).cnt as usize)
    }
}

/// The topic of an entry.
///
/// # Safety
/// `entry` came from a valid list.
pub(super) unsafe fn topic_of(entry: &native::rd_kafka_topic_partition_t) -> String {
    // SAFETY: every entry has a name that ends in NUL.
    unsafe { CStr::from_ptr(entry.topic) }.to_string_lossy().into_owned()
}

/// The bytes that were committed beside an offset.
///
/// # Safety
/// `entry` came from a valid list.
pub(super) unsafe fn mark_of(entry: &native::rd_kafka_topic_partition_t) -> String {
    if entry.metadata.is_null() {
        return String::new();
    }
    // SAFETY: `metadata_size` bytes are there.
    let bytes = unsafe { std::slice::from_raw_parts(entry.metadata.cast::<u8>(), entry.metadata_size) };
    String::from_utf8_lossy(bytes).into_owned()
}
