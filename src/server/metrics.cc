// Prometheus' text format.
#include "server/metrics.h"

#include "base/memory.h"

namespace larder {

namespace {

class Page {
 public:
  void Put(const char* name, const char* type, const char* help, double value) {
    Head(name, type, help);
    Line(name, "", value);
  }
  void Head(const char* name, const char* type, const char* help) {
    text_ += fmt::format("# HELP larder_{} {}\n# TYPE larder_{} {}\n", name, help, name, type);
  }
  void Line(const char* name, const std::string& labels, double value) {
    text_ += fmt::format("larder_{}{} {}\n", name, labels, value);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

double Number(std::uint64_t value) { return static_cast<double>(value); }
double Seconds(std::int64_t us) { return static_cast<double>(us) * 1e-6; }

void PutScheduler(const SchedulerStats& stats, Page* page) {
  page->Put("requests_waiting", "gauge", "Requests in the queue.", Number(stats.n_waiting));
  page->Put("requests_running", "gauge", "Requests being read or answered.",
            Number(stats.n_running));
  page->Put("requests_refused_total", "counter", "Requests refused because the queue was full.",
            Number(stats.n_refused));
  page->Head("requests_finished_total", "counter", "Requests that ended, by reason.");
  for (const FinishReason reason :
       {FinishReason::kStop, FinishReason::kLength, FinishReason::kContextFull,
        FinishReason::kCancelled, FinishReason::kError}) {
    page->Line("requests_finished_total",
               fmt::format("{{reason=\"{}\"}}", FinishReasonName(reason)),
               Number(stats.n_finished[static_cast<int>(reason)]));
  }
  page->Put("prompt_tokens_total", "counter", "Prompt tokens read.", Number(stats.n_prompt_tokens));
  page->Put("reused_tokens_total", "counter", "Prompt tokens that need not be read again.",
            Number(stats.n_reused_tokens));
  page->Put("answer_tokens_total", "counter", "Tokens of answers.", Number(stats.n_answer_tokens));
  page->Put("prompt_seconds_total", "counter", "Time in steps that read prompts.",
            Seconds(stats.prompt_us));
  page->Put("answer_seconds_total", "counter", "Time in steps that only answered.",
            Seconds(stats.answer_us));
  page->Put("steps_total", "counter", "Steps of the model.", Number(stats.n_steps));
  page->Put("shared_steps_total", "counter", "Steps that served several requests.",
            Number(stats.n_shared_steps));
  page->Put("prefix_lookups_total", "counter", "Prompts looked up among earlier ones.",
            Number(stats.n_prefix_lookups));
  page->Put("prefix_hits_total", "counter", "Of them, those that reused something.",
            Number(stats.n_prefix_hits));
  page->Put("prefix_disk_hits_total", "counter", "Of them, with the help of the disk.",
            Number(stats.n_prefix_disk_hits));
  page->Put("prefix_memory_bytes", "gauge", "Memory that kept beginnings take.",
            Number(stats.prefix_memory_bytes));
  page->Put("prefix_disk_bytes", "gauge", "Disk that kept beginnings take.",
            Number(stats.prefix_disk_bytes));
  page->Put("prefix_disk_written_bytes_total", "counter", "Written to the prefix cache's files.",
            Number(stats.prefix_disk_written_bytes));
  page->Put("prefix_files_ignored_total", "counter", "Files of the prefix cache found damaged.",
            Number(stats.n_prefix_files_ignored));
  page->Put(
      "prefix_files_refused_total", "counter",
      "Times that a file was not written to the prefix cache, for the limit of a day or its count.",
      Number(stats.n_prefix_files_refused));
}

void PutExperts(const ExpertStats& stats, Page* page) {
  page->Put("expert_requests_total", "counter", "Layers' requests for experts.",
            Number(stats.n_requests));
  page->Put("expert_hits_total", "counter", "Experts asked for that were in memory.",
            Number(stats.n_hits));
  page->Put("expert_misses_total", "counter", "Experts asked for that were read.",
            Number(stats.n_misses));
  page->Put("expert_read_bytes_total", "counter", "Bytes read from the disk for experts.",
            Number(stats.bytes_read));
  page->Put("expert_requested_bytes_total", "counter", "Bytes of experts asked for.",
            Number(stats.bytes_requested));
  page->Put("expert_stall_seconds_total", "counter", "Time spent waiting for reads.",
            Seconds(stats.stall_us));
  page->Put("expert_read_busy_seconds_total", "counter", "Time with a read in flight.",
            Seconds(stats.read_busy_us));
  page->Put("expert_retries_total", "counter", "Reads tried again.", Number(stats.n_retries));
  page->Put("expert_ahead_useful_bytes_total", "counter", "Read ahead and used.",
            Number(stats.ahead_useful_bytes));
  page->Put("expert_ahead_wasted_bytes_total", "counter", "Read ahead for nothing.",
            Number(stats.ahead_wasted_bytes));
}

}  // namespace

void Metrics::CountRequest(const std::string& route, int status) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++requests_[{route, status}];
}

void Metrics::CountAnswer(const AnswerUsage& usage) {
  ++n_answers_;
  n_prompt_tokens_ += static_cast<std::uint64_t>(usage.n_prompt);
  n_answer_tokens_ += static_cast<std::uint64_t>(usage.n_answer);
}

std::string Metrics::Render(const HttpServerStats& http, const Generator* generator) const {
  Page page;
  page.Put("http_connections", "gauge", "Open connections.", Number(http.n_connections));
  page.Put("http_connections_total", "counter", "Connections accepted.", Number(http.n_accepted));
  page.Put("http_requests_total", "counter", "Requests received.", Number(http.n_requests));
  page.Put("http_timeouts_total", "counter", "Connections closed for slowness.",
           Number(http.n_timeouts));
  page.Head("http_responses_total", "counter", "Responses to requests, by path and status.");
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [key, count] : requests_) {
      page.Line("http_responses_total",
                fmt::format("{{path=\"{}\",status=\"{}\"}}", key.first, key.second), Number(count));
    }
  }
  page.Put("answers_total", "counter", "Answers given whole.", Number(n_answers_));
  page.Put("answer_failures_total", "counter", "Answers that failed on the way.",
           Number(n_failures_));
  page.Put("clients_gone_total", "counter",
           "Clients that left before their answer was whole (of streams, also responses).",
           Number(n_gone_));
  page.Put("resident_bytes", "gauge", "Resident memory of the process.", Number(ResidentBytes()));
  if (generator != nullptr) {
    const SchedulerStats stats = generator->stats();
    PutScheduler(stats, &page);
    PutExperts(stats.experts, &page);
  }
  return page.Take();
}

}  // namespace larder
