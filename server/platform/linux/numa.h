// How far memory is from this host's processors.

#ifndef WEFT_SERVER_PLATFORM_LINUX_NUMA_H_
#define WEFT_SERVER_PLATFORM_LINUX_NUMA_H_

#include <cstdint>
#include <string>

namespace weft {

// The distance from the first node with processors to `node`, as the kernel reports it
// below `nodes` (/sys/devices/system/node); 10 is local. 0 where it reports none: a node
// that is -1, unknown, or not online, as that of memory which no driver has brought online.
uint32_t NumaDistance(const std::string& nodes, int node);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_NUMA_H_
