// The shape of a model from its published config.json. Pure; the text is hostile until checked.
// Source: the configuration classes of the transformers library.
#pragma once

#include <string>

#include "base/status.h"
#include "cli/synth_shape.h"

namespace larder {

/// Of qwen3_5_moe models, with or without a vision part. kInvalidArgument names a key that is
/// missing or out of range; kUnsupported another kind of model.
Result<SynthShape> ParseHfConfig(const std::string& text);

}  // namespace larder
