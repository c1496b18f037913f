// What this machine is, in words, for the head of a benchmark's report.
#pragma once

#include <string>

namespace larder {

std::string CpuName();     // "Intel(R) Xeon(R) ...", "unknown CPU"
std::string KernelName();  // "Linux 6.1.0"
/// The block device below a file: "nvme0n1 (Samsung SSD 990 PRO)".
std::string DiskName(const std::string& path);

}  // namespace larder
