package lonely // want
