// Making sure of a write-ahead log that may have failed to reach the disk.

#ifndef WEFT_SERVER_STORE_SQLITE_WAL_H_
#define WEFT_SERVER_STORE_SQLITE_WAL_H_

#include <string>

#include "absl/status/status.h"

namespace weft {

// Makes what is now read from the WAL of the database at `path` durable, through `vfs`
// (empty: the default), also if an earlier sync of it failed. Another sync would not do:
// the kernel reports a failed write-back once, then takes the pages for clean, and the
// next sync succeeds without writing them. So every byte is written again over itself.
// `path` is as SQLite has resolved it. OK if there is no WAL. UNAVAILABLE: the disk
// fails now.
// REQUIRES: no connection to the database is open.
absl::Status RewriteWalDurably(const std::string& path, const std::string& vfs);

}  // namespace weft

#endif  // WEFT_SERVER_STORE_SQLITE_WAL_H_
