// Training of compact students, against labels and a larger teacher. Depends on MemoryVOS.
