// PNG through libpng, whose errors (longjmp) must not cross Swift frames.
#pragma once
