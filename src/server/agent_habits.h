// What agents and chat programs are known to do that a server must understand to serve them well:
// lines for their vendor's billing before the instructions, and small requests beside a
// conversation. Pure functions over a request of any dialect.
#pragma once

#include "server/chat_request.h"

namespace larder {

/// Takes the lines "x-anthropic-billing-header: ..." off the beginning of the first system message,
/// and the message with them when nothing else is in it. They change with every request and say
/// nothing to the model: left there, no prompt would begin like the one before.
void DropBillingLines(ChatRequest* request);

/// Whether this is a small request beside a conversation: no tools, nothing said by the assistant
/// yet, and either at most 64 tokens of answer to at most 4 KiB of text, or instructions that say
/// so themselves (titles, tags and topics, as Open WebUI, Claude Code, Continue, LibreChat and
/// opencode ask for them). One taken for it by mistake is answered alike; its prompt is only the
/// first that is forgotten.
bool IsSideRequest(const ChatRequest& request);

/// Both, for every dialect's parser to end with.
void ApplyAgentHabits(ChatRequest* request);

}  // namespace larder
